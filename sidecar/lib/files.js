'use strict'

// Small files that must be whole or absent after any crash.

const fs = require('node:fs')
const path = require('node:path')

/**
 * Replace a file atomically and durably: temporary file, fsync, rename, fsync of the directory.
 * @param {string} file
 * @param {string | Buffer} content
 */
function writeDurably (file, content) {
  const temporary = file + '.tmp'
  const descriptor = fs.openSync(temporary, 'w', 0o600)
  try {
    fs.writeSync(descriptor, typeof content === 'string' ? Buffer.from(content) : content)
    fs.fsyncSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
  fs.renameSync(temporary, file)
  syncDirectory(path.dirname(file))
}

/** @param {string} directory */
function syncDirectory (directory) {
  const descriptor = fs.openSync(directory, 'r')
  try {
    fs.fsyncSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
}

/**
 * @param {string} file
 * @returns {any} the parsed content, null when the file is absent or is not JSON
 */
function readJson (file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'))
  } catch {
    return null
  }
}

module.exports = { writeDurably, readJson, syncDirectory }
