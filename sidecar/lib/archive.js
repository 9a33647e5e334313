'use strict'

// Archive mode: replicas of all logs of the hive, one directory each, and an HTTP API behind a token. What it
// acknowledged it holds; a log whose sidecar is gone is still served.

const fs = require('node:fs')
const path = require('node:path')
const { ConfigError, notFound, badRequest, textOf } = require('./errors')
const { writeDurably, readJson } = require('./files')
const { KeptList } = require('./keptlist')
const { createServer, sendJson, readBody, integer } = require('./http')
const { archiveKeys } = require('./keys')
const { ListFile } = require('./listfile')
const { listenOnPort } = require('./listen')
const { archiveMetrics, metricsServer } = require('./metrics')
const { treeHashAt } = require('./proof')
const { readingRoutes } = require('./reading')
const { Replica } = require('./replica')
const { withDeadline } = require('./deadline')
const { streamLengths } = require('./lengths')
const logger = require('./logger')

/** @typedef {import('./config').LogAddress} LogAddress */
/** @typedef {import('./http').Route} Route */
/** @typedef {InstanceType<typeof Replica>} LogReplica */

const MAX_WAIT_S = 30
const MAX_LIST_BYTES = 4 * 1024 * 1024

class Archive {
  /**
   * @param {{ dir: string, keyPair: KeyPair, onSync: (seconds: number) => void, onRefused: () => void }} options
   */
  constructor (options) {
    this.options = options
    /** @type {Map<string, LogReplica>} */
    this.replicas = new Map()
    /** What each replica is dialling now, as text. @type {Map<string, string>} */
    this.addresses = new Map()
    /** @type {Promise<void>} */
    this.applying = Promise.resolve()
    /** @type {Set<(replica: LogReplica) => void>} */
    this.listeners = new Set()
    this.closed = false
  }

  /** Open every log that this archive ever held. */
  async open () {
    const logs = path.join(this.options.dir, 'logs')
    fs.mkdirSync(logs, { recursive: true, mode: 0o700 })
    for (const key of fs.readdirSync(logs).sort()) {
      const about = readJson(path.join(logs, key, 'about.json'))
      if (about !== null) await this.tryAdd(key, String(about.nodeId))
    }
  }

  /**
   * Follow exactly these logs; others are kept and no longer dialled.
   * @param {LogAddress[]} list
   */
  apply (list) {
    this.applying = this.applying.catch(() => {}).then(() => this.applyNow(list)) // who gave the list before has seen its fault
    return this.applying
  }

  /** @param {LogAddress[]} list */
  async applyNow (list) {
    const wanted = new Map(list.map(address => [address.key, address]))
    for (const key of this.replicas.keys()) {
      if (!wanted.has(key)) await this.follow(key, null)
    }
    for (const [key, address] of wanted) {
      if (this.closed) return
      if (!this.replicas.has(key)) await this.tryAdd(key, address.nodeId)
      await this.follow(key, address)
    }
  }

  /**
   * @param {string} key
   * @param {LogAddress | null} address
   */
  async follow (key, address) {
    const text = address === null ? '' : JSON.stringify(address)
    if ((this.addresses.get(key) ?? '') === text || !this.replicas.has(key)) return
    this.addresses.set(key, text)
    await this.replicas.get(key)?.follow(address, this.options.keyPair, this.options.onRefused)
  }

  /**
   * One replica that cannot be opened must not keep the others from being served.
   * @param {string} key
   * @param {string} nodeId
   */
  async tryAdd (key, nodeId) {
    try {
      await this.add(key, nodeId)
    } catch (error) {
      if (error instanceof ConfigError) throw error
      logger.error('replica_failed', { key, node: nodeId, error: textOf(error) })
    }
  }

  /**
   * @param {string} key
   * @param {string} nodeId
   */
  async add (key, nodeId) {
    const dir = path.join(this.options.dir, 'logs', key)
    const replica = await Replica.open({ dir, key: Buffer.from(key, 'hex'), nodeId, onSync: this.options.onSync })
    writeDurably(path.join(dir, 'about.json'), JSON.stringify({ nodeId, key }) + '\n')
    this.replicas.set(key, replica)
    replica.on('commit', () => {
      for (const listener of this.listeners) listener(replica)
    })
  }

  /** @param {string} key */
  get (key) {
    const replica = this.replicas.get(key)
    if (replica === undefined) throw notFound(`log ${key.slice(0, 64)}: this archive holds no such log; is it in its list of logs?`)
    return replica
  }

  describe () {
    return [...this.replicas.values()].map(replica => ({
      nodeId: replica.nodeId,
      key: replica.keyHex,
      length: replica.durable,
      fork: replica.head.fork,
      conflict: replica.conflict,
      recovering: replica.recovering,
      followed: (this.addresses.get(replica.keyHex) ?? '') !== '',
      connected: replica.connected,
      lag: replica.lag
    }))
  }

  async close () {
    this.closed = true
    await this.applying.catch(() => {})
    await Promise.all([...this.replicas.values()].map(replica => replica.close()))
  }
}

/**
 * @param {import('./config').ArchiveConfig} config
 * @returns {Promise<{ ready: object, stop: () => Promise<void> }>}
 */
async function startArchive (config) {
  const archive = new Archive({
    dir: config.dir,
    keyPair: archiveKeys(config.noiseSeed),
    onSync: seconds => metrics.syncSeconds.observe(seconds),
    onRefused: () => metrics.refused.inc()
  })
  const metrics = archiveMetrics(() => archive.describe())
  await archive.open()
  await archive.apply(config.logs)
  /** @param {LogAddress[]} logs */
  const follow = logs => archive.apply([...config.logs, ...logs])
  const file = config.logsFile === null ? null : new ListFile(config.logsFile, follow)
  await file?.read()
  const kept = new KeptList(config.dir, config.logsFile, follow)
  if (file === null) await kept.restore()

  let draining = false
  const server = createServer(routes(archive, kept, () => draining), {
    token: config.token,
    isDraining: () => draining,
    onError: code => metrics.errors.inc({ code })
  })
  const figures = metricsServer(metrics.registry, config.metrics?.token ?? null)
  const port = await listenOnPort(server, config.http)
  const metricsPort = config.metrics === null ? null : await listenOnPort(figures, config.metrics)
  return {
    ready: {
      url: `http://${config.http.host}:${port}`,
      replicationKey: archive.options.keyPair.publicKey.toString('hex'),
      metricsPort
    },
    async stop () {
      draining = true
      file?.close()
      const closed = new Promise(resolve => server.close(resolve))
      for (const replica of archive.replicas.values()) replica.endReaders()
      figures.close()
      server.closeIdleConnections()
      await withDeadline(closed, 2000)
      server.closeAllConnections()
      await archive.close()
    }
  }
}

/**
 * @param {Archive} archive
 * @param {InstanceType<typeof KeptList>} kept
 * @param {() => boolean} isDraining
 * @returns {Route[]}
 */
function routes (archive, kept, isDraining) {
  return [
    { method: 'GET', path: /^\/healthz$/, open: true, handle: ({ response }) => sendJson(response, 200, { ok: true }) },
    {
      method: 'GET',
      path: /^\/readyz$/,
      open: true,
      handle: ({ response }) => sendJson(response, isDraining() ? 503 : 200, { ready: !isDraining() })
    },
    { method: 'GET', path: /^\/v1\/logs$/, handle: ({ response }) => sendJson(response, 200, { logs: archive.describe() }) },
    {
      method: 'PUT',
      path: /^\/v1\/logs$/,
      handle: async ({ request, response }) => sendJson(response, 200, { count: await kept.replace(await readBody(request, MAX_LIST_BYTES)) })
    },
    { method: 'GET', path: /^\/v1\/stream$/, handle: ({ response }) => streamLengths(archive, response, isDraining) },
    {
      method: 'GET',
      path: /^\/v1\/logs\/([0-9a-f]{64})\/acknowledged$/,
      async handle ({ response, query, params: [key] }) {
        const length = integer(query, 'length', null)
        const wait = integer(query, 'wait', 0) ?? 0
        if (length === null || length < 1) throw badRequest('length: expected the length to be acknowledged, at least 1')
        if (wait > MAX_WAIT_S) throw badRequest(`wait: expected at most ${MAX_WAIT_S} seconds, got ${wait}`)
        await acknowledge(archive.get(String(key)), length, wait, response)
      }
    },
    ...readingRoutes('/v1/logs/([0-9a-f]{64})', ([key]) => archive.get(String(key)))
  ]
}

/**
 * @param {LogReplica} replica
 * @param {number} length
 * @param {number} wait seconds
 * @param {import('node:http').ServerResponse} response
 */
async function acknowledge (replica, length, wait, response) {
  if (!await replica.waitFor(length, wait * 1000)) {
    sendJson(response, 202, { acknowledged: false, length: replica.durable, conflict: replica.conflict })
    return
  }
  sendJson(response, 200, {
    acknowledged: true,
    length: replica.durable,
    treeHash: (await treeHashAt(replica, length)).toString('hex'),
    signedAt: replica.history.timeOf(length),
    conflict: replica.conflict
  })
}

module.exports = { startArchive }
