// Preloaded into a server that would listen on all interfaces, and has no option for it.
const net = require('node:net');

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (where, ...rest) {
  const options = typeof where === 'object' ? where : { port: Number(where) };
  return listen.call(this, { ...options, host: '127.0.0.1' }, ...rest.filter((arg) => typeof arg === 'function'));
};
