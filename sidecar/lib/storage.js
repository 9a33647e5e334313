'use strict'

// Opening a Hypercore's directory, whatever state it was left in.

const fs = require('node:fs')
const path = require('node:path')
const Hypercore = require('hypercore')
const { ConfigError, textOf, codeOf } = require('./errors')
const { Tenure } = require('./tenure')
const logger = require('./logger')

/**
 * @typedef {object} Opened
 * @property {Hypercore} core
 * @property {string | null} doubt why the directory may lack blocks that others have seen; null = no reason to think so
 */

/**
 * Open the Hypercore in `directory/core`. A directory that was moved or copied (Hypercore's CORESTORE file
 * tells) and one that RocksDB cannot read are opened too, but in doubt: the first as it is, the second empty,
 * with the damaged files kept beside it.
 * @param {string} directory of the log; the Hypercore is in `core` under it
 * @param {Buffer} key
 * @param {object} options Hypercore's
 * @returns {Promise<Opened>}
 * @throws {ConfigError} another process has it open
 */
async function openStorage (directory, key, options) {
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 })
  const coreDirectory = path.join(directory, 'core')
  const open = () => openCore(coreDirectory, key, options)
  try {
    return { core: await open(), doubt: null }
  } catch (error) {
    if (isLocked(error)) throw new ConfigError(lockedMessage(directory))
    const remedy = remedyFor(error, coreDirectory)
    if (remedy === null) throw error
    logger.warning('storage_in_doubt', { directory: coreDirectory, doubt: remedy.doubt, error: textOf(error) })
    remedy.apply()
    return { core: await open(), doubt: remedy.doubt }
  }
}

/**
 * @param {string} directory
 * @param {Buffer} key
 * @param {object} options
 */
async function openCore (directory, key, options) {
  const core = new Hypercore(directory, key, options)
  await core.ready()
  // Set by hypercore-storage when RocksDB had to drop its log; Hypercore's own append would then wait for any
  // peer at all, for ever. Our watermark and witness (log.js) decide instead.
  core.core.header.hints.recovering = 0
  return core
}

/**
 * @param {unknown} error
 * @param {string} directory
 * @returns {{ doubt: string, apply: () => void } | null}
 */
function remedyFor (error, directory) {
  if (codeOf(error) === 'DEVICE_FILE') {
    return { doubt: 'the directory was moved or copied', apply: () => fs.rmSync(path.join(directory, 'CORESTORE')) }
  }
  if (/sequence number is being set backwards/i.test(textOf(error))) {
    return { doubt: 'the write-ahead log was damaged', apply: () => {} } // hypercore-storage has dropped that log by now
  }
  if (/corrupt|checksum|bad table magic|not an sstable/i.test(textOf(error))) {
    return { doubt: 'the storage was damaged', apply: () => setAside(directory) }
  }
  return null
}

/** @param {string} directory keeps only the newest damaged copy: a disk that rots must not fill up too */
function setAside (directory) {
  const aside = directory + '.damaged'
  fs.rmSync(aside, { recursive: true, force: true })
  fs.renameSync(directory, aside)
}

/** @param {unknown} error */
function isLocked (error) {
  return /could not be locked|lock hold by|No locks available|Resource temporarily unavailable/i.test(textOf(error))
}

/** @param {string} directory */
function lockedMessage (directory) {
  const holder = new Tenure(directory).lastHolder
  const who = holder === null ? 'another process' : `process ${holder}`
  return `${directory}: expected to be the only one who opens this log, but ${who} has it open; stop that process (kill ${holder ?? 'PID'}) or use another directory`
}

module.exports = { openStorage }
