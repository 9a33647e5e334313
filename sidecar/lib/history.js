'use strict'

// When a replica held how much: one entry a commit, so that the archive can say at what time a length was
// first witnessed. A membership card is judged at that time (architecture §4), years later if need be.

const fs = require('node:fs')

const ENTRY = 16 // length (u64le), milliseconds since 1970 (f64le)

class WitnessHistory {
  /** @param {string} file */
  constructor (file) {
    this.descriptor = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600)
    /** @type {number[]} */
    this.lengths = []
    /** @type {number[]} */
    this.times = []
    this.load(fs.readFileSync(file))
  }

  /** @param {Buffer} bytes entries that do not rise were torn by a crash; they and what follows are overwritten */
  load (bytes) {
    for (let at = 0; at + ENTRY <= bytes.length; at += ENTRY) {
      const length = Number(bytes.readBigUInt64LE(at))
      if (length <= this.length) break
      this.lengths.push(length)
      this.times.push(bytes.readDoubleLE(at + 8))
    }
  }

  get length () {
    return this.lengths.at(-1) ?? 0
  }

  /**
   * @param {number} length
   * @param {number} now milliseconds since 1970
   */
  add (length, now) {
    if (length <= this.length) return // re-fetched after damage: the first time is the one that counts
    const bytes = Buffer.alloc(ENTRY)
    bytes.writeBigUInt64LE(BigInt(length), 0)
    bytes.writeDoubleLE(now, 8)
    fs.writeSync(this.descriptor, bytes, 0, ENTRY, this.lengths.length * ENTRY)
    this.lengths.push(length)
    this.times.push(now)
  }

  /**
   * @param {number} length
   * @returns {string | null} ISO time at which at least that length was held, null when it never was
   */
  timeOf (length) {
    let low = 0
    let high = this.lengths.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (/** @type {number} */ (this.lengths[middle]) < length) low = middle + 1
      else high = middle
    }
    const time = this.times[low]
    return time === undefined ? null : new Date(time).toISOString()
  }

  close () {
    fs.fdatasyncSync(this.descriptor)
    fs.closeSync(this.descriptor)
  }
}

module.exports = { WitnessHistory }
