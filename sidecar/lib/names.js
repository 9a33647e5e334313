'use strict'

// Names to addresses. Asked of the name servers directly: the system's own look-up occupies one of the four threads
// that also write to the disk, for up to 40 s a name while a cluster's DNS is away, and acknowledgements would wait.

const dns = require('node:dns')
const net = require('node:net')

const LIMITS = { timeout: 1000, tries: 1 } // the caller tries again by itself

/**
 * @param {string} host an address, a name that is complete (with dots), or one that only this machine knows
 * @returns {Promise<string | null>} an address; null when there is none now
 */
async function resolve (host) {
  if (net.isIP(host) !== 0) return host
  if (!host.includes('.')) return (await dns.promises.lookup(host).catch(() => null))?.address ?? null
  const resolver = new dns.promises.Resolver(LIMITS) // a new one knows the name servers of now
  const addresses = await resolver.resolve4(host).catch(() => resolver.resolve6(host)).catch(() => [])
  return addresses[0] ?? null
}

module.exports = { resolve }
