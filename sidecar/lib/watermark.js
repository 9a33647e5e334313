'use strict'

// The high-water mark: how long the log was, and what its tree hash was, when something was last
// acknowledged. RocksDB's point-in-time recovery silently drops everything after a bad byte in the
// write-ahead log; without this mark the shortened log would be appended to, which forks it.

const fs = require('node:fs')
const { createHash } = require('node:crypto')

const SIZE = 8 + 32 + 8 // length (u64le), tree hash, checksum

/**
 * One slot in a file of its own, overwritten in place. It may lag the log (after a power cut) but never
 * leads it, since it is written after the log was synced.
 */
class Watermark {
  /** @param {string} file */
  constructor (file) {
    this.descriptor = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600)
    const bytes = Buffer.alloc(SIZE)
    const size = fs.readSync(this.descriptor, bytes, 0, SIZE, 0)
    /** A mark was there but cannot be read: what it said is unknown. */
    this.damaged = size !== 0 && !(size === SIZE && checksum(bytes).equals(bytes.subarray(40)))
    const whole = size === SIZE && !this.damaged
    this.length = whole ? Number(bytes.readBigUInt64LE(0)) : 0
    /** @type {Buffer | null} */
    this.treeHash = whole ? Buffer.from(bytes.subarray(8, 40)) : null
  }

  /**
   * @param {number} length
   * @param {Buffer} treeHash 32 bytes
   */
  raise (length, treeHash) {
    const bytes = Buffer.alloc(SIZE)
    bytes.writeBigUInt64LE(BigInt(length), 0)
    treeHash.copy(bytes, 8)
    checksum(bytes).copy(bytes, 40)
    fs.writeSync(this.descriptor, bytes, 0, SIZE, 0)
    this.length = length
    this.treeHash = treeHash
    this.damaged = false
  }

  close () {
    fs.fdatasyncSync(this.descriptor)
    fs.closeSync(this.descriptor)
  }
}

/**
 * @param {Buffer} bytes
 * @returns {Buffer} 8 bytes
 */
function checksum (bytes) {
  return createHash('sha256').update(bytes.subarray(0, 40)).digest().subarray(0, 8)
}

module.exports = { Watermark }
