/* node/rehearsal.cjs - a function that is called before there is one; see rehearse.mjs. */
exports.handler = async (event) => event;
