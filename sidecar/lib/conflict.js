'use strict'

// Two signed histories of one log (equivocation) are never healed, nor forgotten: Hypercore reopens such a
// log writable after a restart, so the finding is kept in a file beside it.

const path = require('node:path')
const { writeDurably, readJson } = require('./files')

/** @typedef {{ reason: string, length: number, fork: number, at: string }} Conflict */

class ConflictFlag {
  /** @param {string} directory */
  constructor (directory) {
    this.file = path.join(directory, 'conflict.json')
    /** @type {Conflict | null} */
    this.found = readJson(this.file)
  }

  /**
   * @param {string} reason
   * @param {number} length
   * @param {number} fork
   * @returns {boolean} false when one was known already; the first finding stays
   */
  raise (reason, length, fork) {
    if (this.found !== null) return false
    this.found = { reason, length, fork, at: new Date().toISOString() }
    writeDurably(this.file, JSON.stringify(this.found) + '\n')
    return true
  }
}

module.exports = { ConflictFlag }
