'use strict'

// The JSON configuration of both modes, checked field by field; every fault is told at once.

const fs = require('node:fs')
const { ConfigError, textOf, codeOf } = require('./errors')

/** @typedef {{ host: string, port: number }} Address */
/** @typedef {Address & { token: string | null }} MetricsAddress token null: anybody may read them */
/** @typedef {{ nodeId: string, key: string, host: string, port: number, replicationKey: string }} LogAddress */
/**
 * @typedef {object} LogConfig
 * @property {string} dir
 * @property {boolean} dirPerKey the log lives in `dir`/<log key>, so that another seed begins beside the log before it
 * @property {string} socket
 * @property {number} socketMode
 * @property {Buffer} seed
 * @property {Address & { allow: string[], witnessMs: number }} replication
 * @property {MetricsAddress | null} metrics
 */
/**
 * @typedef {object} ArchiveConfig
 * @property {string} dir
 * @property {Address} http
 * @property {string} token
 * @property {Buffer} noiseSeed
 * @property {LogAddress[]} logs
 * @property {string | null} logsFile
 * @property {MetricsAddress | null} metrics
 */

const HEX_32 = /^[0-9a-f]{64}$/
const DEFAULT_SOCKET_MODE = 0o660
/** How long a log's first append after a start waits for the archive's word, in ms (see log.js). */
const DEFAULT_WITNESS_MS = 1500
const MAX_SOCKET_PATH = 107 // sun_path, without its closing zero
/** Far above any hive; each log costs the archive 2 MB of memory. */
const MAX_LOGS = 4096
const MIN_TOKEN = 16
const MAX_NAME = 253 // a DNS name's

class Fields {
  /** @param {any} value */
  constructor (value) {
    /** @type {string[]} */
    this.faults = []
    this.value = value
  }

  /**
   * @template T
   * @param {string} name dotted
   * @param {string} expected
   * @param {(value: any) => value is T} is
   * @param {T} [fallback]
   * @returns {T}
   */
  get (name, expected, is, fallback) {
    let value = this.value
    for (const part of name.split('.')) value = value === null || typeof value !== 'object' ? undefined : value[part]
    if ((value === undefined || value === null) && fallback !== undefined) return fallback
    if (!is(value)) this.faults.push(`${name}: expected ${expected}, got ${(JSON.stringify(value) ?? 'nothing').slice(0, 80)}`)
    return value
  }

  /** @param {string} name @param {string} [fallback] @returns {string} */
  text (name, fallback) {
    return this.get(name, 'text', isText, fallback)
  }

  /** @param {string} name @param {number} [fallback] @returns {number} */
  port (name, fallback) {
    return this.get(name, 'a port (0 = any free one)', isPort, fallback)
  }

  /** @returns {MetricsAddress | null} */
  metrics () {
    if (this.value.metrics === undefined || this.value.metrics === null) return null
    const token = isAbsent(this.value.metrics.tokenFile) ? null : this.token('metrics.tokenFile')
    return { host: this.text('metrics.host', '127.0.0.1'), port: this.port('metrics.port', 0), token }
  }

  /** @param {string} name @returns {string} */
  token (name) {
    return this.secret(name, text => text.length >= MIN_TOKEN, `at least ${MIN_TOKEN} characters`)
  }

  /** @param {string} name @param {(text: string) => boolean} is @param {string} expected @returns {string} */
  secret (name, is, expected) {
    const file = this.text(name)
    if (!isText(file)) return ''
    try {
      const text = fs.readFileSync(file, 'utf8').trim()
      if (!is(text)) this.faults.push(`${name}: expected ${expected} in ${file}`)
      return text
    } catch (error) {
      this.faults.push(`${name}: cannot read ${file} (${codeOf(error)})`)
      return ''
    }
  }

  /** @param {string} file */
  finish (file) {
    if (this.faults.length > 0) throw new ConfigError(`${file}: ${this.faults.join('; ')}`)
  }
}

/** @param {unknown} value @returns {value is null | undefined} */
function isAbsent (value) {
  return value === undefined || value === null
}

/** @param {unknown} value @returns {value is boolean} */
function isFlag (value) {
  return typeof value === 'boolean'
}

/** @param {unknown} value @returns {value is string} */
function isText (value) {
  return typeof value === 'string' && value.length > 0
}

/** @param {unknown} value @returns {value is number} */
function isPort (value) {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 65535
}

/** @param {unknown} value @returns {value is string[]} */
function isKeyList (value) {
  return Array.isArray(value) && value.every(isKey)
}

/** @param {unknown} value @returns {value is number} */
function isMode (value) {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 0o777
}

/** @param {unknown} value @returns {value is number} */
function isDuration (value) {
  return typeof value === 'number' && value >= 0 && value <= 600_000
}

/** @param {unknown} value @returns {value is string} */
function isKey (value) {
  return typeof value === 'string' && HEX_32.test(value)
}

/** @param {any} value @returns {value is LogAddress} */
function isLogAddress (value) {
  return typeof value === 'object' && value !== null && isText(value.nodeId) && value.nodeId.length <= MAX_NAME &&
    isKey(value.key) && isText(value.host) && value.host.length <= MAX_NAME && isPort(value.port) && isKey(value.replicationKey)
}

/** @param {unknown} value @returns {value is LogAddress[]} */
function isLogList (value) {
  return Array.isArray(value) && value.length <= MAX_LOGS && value.every(isLogAddress)
}

const LOG_LIST = `a list of at most ${MAX_LOGS} {nodeId, key, host, port, replicationKey}, keys as 64 hex digits`

/**
 * @param {string} file
 * @returns {any}
 */
function readObject (file) {
  let value
  try {
    value = JSON.parse(fs.readFileSync(file, 'utf8'))
  } catch (error) {
    throw new ConfigError(`${file}: expected a readable JSON file: ${textOf(error)}`)
  }
  if (typeof value !== 'object' || value === null) throw new ConfigError(`${file}: expected a JSON object`)
  return value
}

/**
 * @param {string} file
 * @returns {LogConfig}
 * @throws {ConfigError}
 */
function readLogConfig (file) {
  const fields = new Fields(readObject(file))
  const config = {
    dir: fields.text('dir'),
    dirPerKey: fields.get('dirPerKey', 'true or false', isFlag, false),
    socket: fields.text('socket'),
    socketMode: fields.get('socketMode', 'file mode bits as a number', isMode, DEFAULT_SOCKET_MODE),
    seed: Buffer.from(fields.secret('seedFile', isKey, '64 hex digits (a 32-byte seed)'), 'hex'),
    replication: {
      host: fields.text('replication.host', '127.0.0.1'),
      port: fields.port('replication.port', 0),
      allow: fields.get('replication.allow', 'a list of Noise keys, 64 hex digits each', isKeyList, []),
      witnessMs: fields.get('replication.witnessMs', 'milliseconds, at most 600000', isDuration, DEFAULT_WITNESS_MS)
    },
    metrics: fields.metrics()
  }
  if (isText(config.socket) && Buffer.byteLength(config.socket) > MAX_SOCKET_PATH) {
    fields.faults.push(`socket: expected a path of at most ${MAX_SOCKET_PATH} bytes, a unix socket's limit`)
  }
  fields.finish(file)
  return config
}

/**
 * @param {string} file
 * @returns {ArchiveConfig}
 * @throws {ConfigError}
 */
function readArchiveConfig (file) {
  const fields = new Fields(readObject(file))
  const config = {
    dir: fields.text('dir'),
    http: { host: fields.text('http.host', '127.0.0.1'), port: fields.port('http.port', 0) },
    token: fields.token('tokenFile'),
    noiseSeed: Buffer.from(fields.secret('noiseSeedFile', isKey, '64 hex digits (a 32-byte seed)'), 'hex'),
    logs: fields.get('logs', LOG_LIST, isLogList, []),
    logsFile: isAbsent(fields.value.logsFile) ? null : fields.text('logsFile'),
    metrics: fields.metrics()
  }
  fields.finish(file)
  return config
}

/**
 * @param {string} file JSON: the list itself, or an object with it as `logs`
 * @returns {LogAddress[]}
 * @throws {ConfigError}
 */
function readLogList (file) {
  const list = parseLogList(readObject(file))
  if (list === null) throw new ConfigError(`${file}: expected ${LOG_LIST}`)
  return list
}

/**
 * @param {any} value the list itself, or an object with it as `logs`
 * @returns {LogAddress[] | null} with the known fields alone; null when something in it does not fit
 */
function parseLogList (value) {
  const list = Array.isArray(value) ? value : value?.logs
  if (!isLogList(list)) return null
  return list.map(({ nodeId, key, host, port, replicationKey }) => ({ nodeId, key, host, port, replicationKey }))
}

module.exports = { readLogConfig, readArchiveConfig, readLogList, parseLogList, LOG_LIST }
