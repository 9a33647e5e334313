'use strict'

// Who holds a log's directory, whether the last holder left it in order, and whether the machine has
// restarted since: after a power cut the log may have lost a tail that the archive already has.

const fs = require('node:fs')
const path = require('node:path')
const { writeDurably, readJson } = require('./files')

/** One process's time with a directory, written into it as `tenure.json`. */
class Tenure {
  /** @param {string} directory */
  constructor (directory) {
    this.file = path.join(directory, 'tenure.json')
    const last = readJson(this.file)
    /** Pid of the process that opened the directory last, null if none did. */
    this.lastHolder = last === null ? null : Number(last.pid)
    /** The last holder may have lost writes that had reached others: it did not close, and the machine went down. */
    this.mayHaveLostWrites = last !== null && last.clean !== true && last.boot !== bootId()
  }

  begin () {
    this.write(false)
  }

  end () {
    this.write(true)
  }

  /** @param {boolean} clean */
  write (clean) {
    writeDurably(this.file, JSON.stringify({ pid: process.pid, boot: bootId(), clean }) + '\n')
  }
}

/** @returns {string} Linux's id of this boot; elsewhere a constant, as every crash then counts as the process's own */
function bootId () {
  try {
    return fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return 'unknown'
  }
}

module.exports = { Tenure }
