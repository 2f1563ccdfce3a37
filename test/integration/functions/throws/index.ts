Deno.serve(() => {
  throw new Error("the secret of this function");
});
