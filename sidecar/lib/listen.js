'use strict'

// Binding servers: a unix socket with its permissions right from the first moment, and TCP ports.

const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const { ConfigError, textOf, codeOf } = require('./errors')
const logger = require('./logger')

/**
 * @param {net.Server} server
 * @param {string} file path of the unix socket; a stale one is removed, one that is served by somebody is not
 * @param {number} mode permission bits
 */
async function listenOnSocket (server, file, mode) {
  await removeStale(file)
  const umask = process.umask(0o777 & ~mode) // chmod afterwards would leave a moment in which anyone may connect
  try {
    await new Promise((resolve, reject) => {
      server.once('error', error => reject(new ConfigError(`${file}: cannot listen: ${textOf(error)}`)))
      server.listen(file, () => resolve(undefined))
    })
  } finally {
    process.umask(umask)
  }
  shareWithGroup(file)
}

/**
 * Give a socket to its directory's group. A setgid directory (a pod's volume with an fsGroup) has done so already.
 * @param {string} file
 */
function shareWithGroup (file) {
  const { gid } = fs.statSync(path.dirname(file))
  if (fs.statSync(file).gid === gid) return
  try {
    fs.chownSync(file, -1, gid)
  } catch (error) { // not a member of that group: the socket stays with our own
    logger.warning('socket_group_kept', { socket: file, group: gid, error: codeOf(error) })
  }
}

/** @param {string} file */
async function removeStale (file) {
  const stat = fs.lstatSync(file, { throwIfNoEntry: false })
  if (stat === undefined) return
  if (!stat.isSocket()) throw new ConfigError(`${file}: expected a unix socket or nothing, found another file; remove it or choose another path`)
  const code = await new Promise(resolve => {
    const probe = net.connect(file)
    probe.once('connect', () => {
      probe.destroy()
      resolve('')
    })
    probe.once('error', error => resolve(codeOf(error)))
  })
  if (code !== 'ECONNREFUSED' && code !== 'ENOENT') {
    throw new ConfigError(`${file}: expected no other process on this socket, but one answers; stop it or choose another path`)
  }
  fs.rmSync(file, { force: true })
}

/**
 * @param {net.Server} server
 * @param {{ host: string, port: number }} address
 * @returns {Promise<number>} the port
 */
function listenOnPort (server, { host, port }) {
  return new Promise((resolve, reject) => {
    server.once('error', error => reject(new ConfigError(`${host}:${port}: cannot listen: ${textOf(error)}`)))
    server.listen(port, host, () => {
      const address = server.address()
      resolve(address !== null && typeof address === 'object' ? address.port : 0)
    })
  })
}

module.exports = { listenOnSocket, listenOnPort }
