// Answers with the trailers of the request, and with some of its own.
export default (req, res) => {
  req.resume();
  req.on("end", () => {
    res.writeHead(200, { "content-type": "application/json" });
    res.write(JSON.stringify(req.trailers));
    res.addTrailers({ "x-sum": "abc", "x-heddle-auth": "forged", "set-cookie": "a=b" });
    res.end();
  });
};
