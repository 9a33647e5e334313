'use strict'

// Who holds a log's directory, in what order the last holder left it, and whether it is still the same
// directory: after a power cut, or as a copy restored from somewhere, a log may lack blocks that others have.

const fs = require('node:fs')
const path = require('node:path')
const { writeDurably, readJson } = require('./files')

/** One process's time with a directory, written into it as `tenure.json`. */
class Tenure {
  /**
   * @param {string} directory
   * @param {string} [landmark] a file in it that is never replaced, only written in place: a copy has a younger one
   */
  constructor (directory, landmark) {
    this.file = path.join(directory, 'tenure.json')
    this.landmark = landmark === undefined ? '' : originOf(landmark)
    const last = readJson(this.file)
    /** Pid of the process that opened the directory last, null if none did. */
    this.lastHolder = last === null ? null : Number(last.pid)
    /** Why blocks may be missing that had reached others, null when nothing says so. @type {string | null} */
    this.doubt = null
    if (last !== null && last.clean !== true && last.boot !== bootId()) {
      this.doubt = 'the machine went down while the log was open, the archive may have its last blocks'
    } else if (last !== null && last.landmark !== this.landmark) {
      this.doubt = 'the directory is a copy'
    }
  }

  begin () {
    this.write(false)
  }

  end () {
    this.write(true)
  }

  /** @param {boolean} clean */
  write (clean) {
    writeDurably(this.file, JSON.stringify({ pid: process.pid, boot: bootId(), landmark: this.landmark, clean }) + '\n')
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

/**
 * @param {string} file
 * @returns {string} what no copying program can keep; '' when the file is absent
 */
function originOf (file) {
  const stat = fs.statSync(file, { bigint: true, throwIfNoEntry: false })
  return stat === undefined ? '' : `${stat.ino}:${stat.birthtimeNs}`
}

module.exports = { Tenure }
