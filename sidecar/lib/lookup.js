'use strict'

// Finds the record that already has an id, so that sending a record twice appends it once, for ever. The index
// is rebuilt at every start by reading the log: 10,000 blocks take about 0.1 s.

const { IdIndex } = require('./ids')
const { idOf } = require('./records')

/** @typedef {InstanceType<typeof import('./view').LogView>} LogView */

const CHUNK_BLOCKS = 256

class Lookup {
  /** @param {LogView} view */
  constructor (view) {
    this.view = view
    this.index = new IdIndex()
    this.length = 0
  }

  /** @param {string} id of the block that comes next */
  add (id) {
    this.index.add(id, this.length++)
  }

  /** @param {number} end read the blocks up to here that were not read yet */
  async readUpTo (end) {
    while (this.length < end) {
      const reads = []
      for (let seq = this.length; seq < Math.min(this.length + CHUNK_BLOCKS, end); seq++) reads.push(this.view.block(seq))
      for (const block of await Promise.all(reads)) {
        const id = idOf(block)
        if (id !== null) this.index.add(id, this.length)
        this.length++
      }
    }
  }

  /**
   * @param {string} id
   * @returns {Promise<{ seq: number, block: Buffer } | null>}
   */
  async find (id) {
    for (const seq of this.index.candidates(id)) {
      const block = await this.view.block(seq)
      if (idOf(block) === id) return { seq, block }
    }
    return null
  }
}

module.exports = { Lookup }
