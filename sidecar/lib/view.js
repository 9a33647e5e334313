'use strict'

// A log as readers see it: only what is durable. Writer and replica both are one.

const { EventEmitter } = require('node:events')
const hypercoreCrypto = require('hypercore-crypto')
const { ApiError, unavailable } = require('./errors')

/**
 * A signed head: the state of the log at one length.
 * @typedef {object} Head
 * @property {number} length blocks
 * @property {number} byteLength
 * @property {number} fork
 * @property {Buffer} treeHash 32 bytes
 * @property {Buffer | null} signature as Hypercore stores it (multisig prefix included), null at length 0
 */

/** Hypercore keeps only its newest signature; proofs at an earlier length need one remembered. */
const HEADS_REMEMBERED = 4096

/** Emits `commit` whenever more of the log has become durable, `close` when there will be no more. */
class LogView extends EventEmitter {
  /** @param {Buffer} key */
  constructor (key) {
    super()
    this.setMaxListeners(0) // one listener a streaming client; their number is bounded by the server
    this.key = key
    this.keyHex = key.toString('hex')
    /** @type {Head} */
    this.head = { length: 0, byteLength: 0, fork: 0, treeHash: hypercoreCrypto.tree([]), signature: null }
    /** @type {Map<number, Head>} */
    this.heads = new Map()
    this.closed = false
  }

  /** @returns {import('hypercore')} */
  get core () {
    throw new Error('a view has a core')
  }

  get recovering () {
    return false
  }

  get conflict () {
    return false
  }

  /** Blocks that may be read; a replica can hold more than its newest signed head covers. */
  get durableLength () {
    return this.head.length
  }

  /** @param {Head} head newer than the last, durable */
  commit (head) {
    this.head = head
    this.heads.set(head.length, head)
    if (this.heads.size > HEADS_REMEMBERED) this.heads.delete(/** @type {number} */ (this.heads.keys().next().value))
    this.emit('commit')
  }

  /**
   * @param {number | null} length null for the newest
   * @returns {Head}
   * @throws {ApiError} 409 when no signature of that length is remembered
   */
  headAt (length) {
    if (length === null || length === this.head.length) return this.head
    const head = this.heads.get(length)
    if (head === undefined) {
      throw new ApiError(409, 'LENGTH_NOT_SIGNED', `length ${length}: no signature of exactly that length is kept, the head is at ${this.head.length}; ask for a proof at the head and /v1/consistency?length=${length}`)
    }
    return head
  }

  /**
   * @param {number} seq below durableLength
   * @returns {Promise<Buffer>}
   */
  async block (seq) {
    const block = this.core.closing === null ? await this.core.get(seq, { wait: false }) : null
    if (block === null) throw unavailable('RECOVERING', `block ${seq}: not readable now, the log is being healed or reopened; try again`)
    return block
  }

  /** Wake everyone who waits for more, for the last time. */
  endReaders () {
    this.closed = true
    this.emit('commit')
  }
}

/**
 * The head that a core is at this very moment. Its roots, length and signature change in one turn of the
 * event loop, so that reading them without waiting gives a consistent head.
 * @param {import('hypercore')} core
 * @returns {Head}
 */
function headOf (core) {
  const { length, byteLength, fork, roots, signature } = core.state
  return { length, byteLength, fork, treeHash: hypercoreCrypto.tree(roots), signature }
}

module.exports = { LogView, headOf }
