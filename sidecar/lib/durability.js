'use strict'

// Hypercore's append() ends in the operating system's cache: RocksDB writes its write-ahead log without
// syncing it, and offers no switch for it here. So whoever promises durability syncs that log itself.

const fs = require('node:fs')
const path = require('node:path')
const { codeOf } = require('./errors')

/** Makes all that a Hypercore directory has written so far survive a power cut. */
class WriteAheadLog {
  /** @param {string} directory a Hypercore's storage directory */
  constructor (directory) {
    this.directory = path.join(directory, 'db')
    /** @type {Map<string, fs.promises.FileHandle>} */
    this.files = new Map()
  }

  /**
   * fdatasync every `*.log` that is there now. A log that vanishes between listing and opening was flushed to
   * a table file, which RocksDB syncs before it deletes the log.
   */
  async sync () {
    // Sync: listing a dozen names takes 20 µs here, and five times that by way of the thread pool.
    const names = fs.readdirSync(this.directory).filter(name => name.endsWith('.log'))
    const fresh = names.filter(name => !this.files.has(name))
    for (const name of fresh) {
      try {
        this.files.set(name, await fs.promises.open(path.join(this.directory, name), 'r'))
      } catch (error) {
        if (codeOf(error) !== 'ENOENT') throw error
      }
    }
    if (fresh.length > 0) await this.syncDirectory() // else a power cut may lose the new file's very name
    for (const [name, file] of this.files) {
      if (names.includes(name)) {
        await file.datasync()
      } else {
        this.files.delete(name)
        await file.close()
      }
    }
  }

  async syncDirectory () {
    const directory = await fs.promises.open(this.directory, 'r')
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  }

  async close () {
    const files = [...this.files.values()]
    this.files.clear()
    for (const file of files) await file.close()
  }
}

module.exports = { WriteAheadLog }
