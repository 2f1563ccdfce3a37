/* deno/rehearsal.ts - a file to load before there is a function; see rehearse() in host.ts. */
export const rehearsed: boolean = true;
