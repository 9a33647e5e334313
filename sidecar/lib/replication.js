'use strict'

// Hypercore replication over TCP, Noise-encrypted, between exactly one sidecar and the archive. A log's key is
// a read capability and pull requests publish it, so each side also checks the other's Noise key.

const net = require('node:net')
const Hypercore = require('hypercore')
const { resolve } = require('./names')
const { textOf } = require('./errors')
const logger = require('./logger')

const LIMITS = {
  connections: 16,
  handshakeMs: 5000, // TCP connect, and Noise handshake
  handshakeBytes: 4096, // a stranger may send this much
  silenceMs: 20_000, // each side says something every 5 s; a pod that is gone sends no end of its connections
  backoffMs: { first: 100, most: 800 } // with its jitter at most 1 s: an agent waits for this
}

/**
 * Runs one connection to its end: handshake within its time, the other's key checked, then replication.
 * @param {net.Socket} socket
 * @param {boolean} initiator
 * @param {KeyPair} keyPair
 * @param {(remoteKey: string) => Hypercore | null} admit the core to replicate, null for a stranger
 * @param {(remoteKey: string) => void} onRefused
 * @returns {Promise<boolean>} once the connection is over: whether it was admitted
 */
function runConnection (socket, initiator, keyPair, admit, onRefused) {
  return new Promise(resolve => {
    let admitted = false
    socket.setNoDelay(true) // live append to replica, p50: 92 ms without, 4 ms with
    const stream = Hypercore.createProtocolStream(initiator, { keyPair })
    const deadline = setTimeout(() => socket.destroy(), LIMITS.handshakeMs)
    const guard = () => { if (socket.bytesRead > LIMITS.handshakeBytes && !admitted) socket.destroy() }
    socket.on('data', guard)
    socket.on('error', () => {}) // 'close' follows
    stream.on('error', error => {
      if (admitted) logger.info('replication_ended', { error: textOf(error) })
      socket.destroy()
    })
    stream.on('close', () => socket.destroy())
    socket.on('close', () => {
      clearTimeout(deadline)
      stream.destroy()
      resolve(admitted)
    })
    socket.pipe(stream).pipe(socket)
    stream.noiseStream.opened.then(opened => {
      if (!opened) return
      clearTimeout(deadline)
      const remoteKey = stream.noiseStream.remotePublicKey.toString('hex')
      const core = admit(remoteKey)
      if (core === null) {
        onRefused(remoteKey)
        socket.destroy()
        return
      }
      admitted = true
      socket.off('data', guard)
      stream.noiseStream.setTimeout(LIMITS.silenceMs)
      core.replicate(stream)
    }).catch(() => socket.destroy())
  })
}

/** The sidecar's side: listens, and replicates its one core with those on its list. */
class ReplicationServer {
  /**
   * @param {{ keyPair: KeyPair, allow: string[], core: () => Hypercore | null, onRefused: () => void }} options
   */
  constructor (options) {
    this.options = options
    /** @type {Set<net.Socket>} */
    this.sockets = new Set()
    this.server = net.createServer(socket => this.serve(socket))
    this.server.maxConnections = LIMITS.connections
  }

  /** @param {net.Socket} socket */
  serve (socket) {
    const { keyPair, allow, core, onRefused } = this.options
    const from = socket.remoteAddress
    this.sockets.add(socket)
    runConnection(socket, false, keyPair, key => allow.includes(key) ? core() : null, key => {
      logger.warning('replication_refused', { from, noise_key: key })
      onRefused()
    }).finally(() => this.sockets.delete(socket))
  }

  /** Drop everyone; new ones may come. */
  dropAll () {
    for (const socket of this.sockets) socket.destroy()
  }

  close () {
    this.server.close()
    this.dropAll()
  }
}

/** The archive's side: dials one sidecar, for ever, with back-off. */
class Dialler {
  /**
   * @param {{ keyPair: KeyPair, host: string, port: number, remoteKey: string, core: () => Hypercore | null, onRefused: () => void }} options
   */
  constructor (options) {
    this.options = options
    this.stopped = false
    /** @type {net.Socket | null} */
    this.socket = null
    /** @type {(() => void) | null} */
    this.wake = null
    this.done = this.run()
  }

  async run () {
    let delay = LIMITS.backoffMs.first
    while (!this.stopped) {
      const admitted = await this.dial()
      delay = admitted ? LIMITS.backoffMs.first : Math.min(delay * 2, LIMITS.backoffMs.most)
      if (!this.stopped) await this.pause(delay * (0.75 + Math.random() / 2))
    }
  }

  /** @returns {Promise<boolean>} after the connection's end: whether it got as far as replicating */
  async dial () {
    const { host, port, keyPair, remoteKey, core, onRefused } = this.options
    const address = await this.unlessStopped(resolve(host)) // anew each time: a pod that comes back has another address
    if (address === null || this.stopped) return false
    const socket = net.connect({ host: address, port })
    this.socket = socket
    const timer = setTimeout(() => socket.destroy(), LIMITS.handshakeMs)
    const connected = await new Promise(resolve => {
      socket.once('connect', () => resolve(true))
      socket.once('error', () => {})
      socket.once('close', () => resolve(false))
    })
    clearTimeout(timer)
    if (!connected) return false
    return runConnection(socket, true, keyPair, key => key === remoteKey ? core() : null, key => {
      logger.warning('replication_refused', { to: `${host}:${port}`, noise_key: key, expected: remoteKey })
      onRefused()
    })
  }

  /**
   * @template T
   * @param {Promise<T>} promise
   * @returns {Promise<T | null>} null as soon as this dialler is stopped
   */
  unlessStopped (promise) {
    return new Promise((resolve, reject) => {
      this.wake = () => resolve(null)
      promise.then(resolve, reject)
    })
  }

  /** @param {number} milliseconds */
  pause (milliseconds) {
    return new Promise(resolve => {
      const timer = setTimeout(resolve, milliseconds)
      this.wake = () => {
        clearTimeout(timer)
        resolve(undefined)
      }
    })
  }

  async stop () {
    this.stopped = true
    this.socket?.destroy()
    this.wake?.()
    await this.done
  }
}

module.exports = { ReplicationServer, Dialler }
