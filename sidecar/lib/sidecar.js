'use strict'

// Log mode: one agent's log, its API on a unix socket, its replication port, its metrics.

const path = require('node:path')
const { withDeadline } = require('./deadline')
const { createServer, sendJson, readBody } = require('./http')
const { Appender } = require('./append')
const { LIMITS, parseAppend } = require('./records')
const { logKeys, replicationKeys } = require('./keys')
const { listenOnSocket, listenOnPort } = require('./listen')
const { logMetrics, metricsServer } = require('./metrics')
const { readingRoutes } = require('./reading')
const { ReplicationServer } = require('./replication')
const { WriterLog } = require('./log')
const { unavailable, textOf } = require('./errors')
const logger = require('./logger')

/** @typedef {import('./http').Route} Route */
/** @typedef {InstanceType<typeof WriterLog>} Log */
/** @typedef {InstanceType<typeof Appender>} LogAppender */

/**
 * @param {import('./config').LogConfig} config
 * @param {(code: number) => void} die ends the process at once: the storage is in a state unknown
 * @returns {Promise<{ ready: object, stop: () => Promise<void> }>} what to say when ready, and how to stop
 */
async function startSidecar (config, die) {
  const metrics = logMetrics()
  const keys = logKeys(config.seed)
  const { allow, witnessMs } = config.replication
  const log = await WriterLog.open({
    dir: config.dirPerKey ? path.join(config.dir, keys.key.toString('hex')) : config.dir,
    keys,
    hasWitness: allow.length > 0,
    witnessMs,
    onSync: seconds => metrics.syncSeconds.observe(seconds)
  })
  const appender = new Appender(log, {
    onBatch: (records, replayed, seconds) => {
      metrics.appended.inc(records)
      metrics.replayed.inc(replayed)
      metrics.batchRecords.observe(records)
      metrics.commitSeconds.observe(seconds)
    },
    onFailure: error => {
      logger.error('storage_failed', { error: textOf(error) })
      setImmediate(die, 1) // after the answers to those who wait have been written
    }
  })
  watch(metrics, log)

  const replication = new ReplicationServer({
    keyPair: replicationKeys(config.seed),
    allow,
    core: () => log.conflict ? null : log.core,
    onRefused: () => metrics.refused.inc()
  })
  log.on('quarantine', () => replication.dropAll())

  let draining = false
  const server = createServer(routes(log, appender, () => draining), {
    isDraining: () => draining,
    onError: code => metrics.errors.inc({ code })
  })
  const figures = metricsServer(metrics.registry, config.metrics?.token ?? null)
  const replicationPort = await listenOnPort(replication.server, config.replication)
  const metricsPort = config.metrics === null ? null : await listenOnPort(figures, config.metrics)
  await listenOnSocket(server, config.socket, config.socketMode)

  return {
    ready: {
      key: log.keyHex,
      length: log.head.length,
      replicationPort,
      replicationKey: replication.options.keyPair.publicKey.toString('hex'),
      metricsPort
    },
    async stop () {
      draining = true
      const closed = new Promise(resolve => server.close(resolve))
      await appender.drain()
      log.endReaders()
      replication.close()
      figures.close()
      server.closeIdleConnections()
      await withDeadline(closed, 2000)
      server.closeAllConnections()
      await log.close()
    }
  }
}

/**
 * @param {Log} log
 * @param {LogAppender} appender
 * @param {() => boolean} isDraining
 * @returns {Route[]}
 */
function routes (log, appender, isDraining) {
  return [
    {
      method: 'POST',
      path: /^\/v1\/records$/,
      async handle ({ request, response }) {
        const entries = parseAppend(await readBody(request, LIMITS.bodyBytes))
        await log.phase.settled()
        if (isDraining()) throw unavailable('DRAINING', 'this log is shutting down; send the same records to it once it is back')
        log.assertWritable()
        sendJson(response, 201, await appender.submit(entries))
      }
    },
    ...readingRoutes('/v1', () => log),
    { method: 'GET', path: /^\/healthz$/, handle: ({ response }) => sendJson(response, 200, { ok: true }) },
    {
      method: 'GET',
      path: /^\/readyz$/,
      handle ({ response }) {
        const ready = !isDraining() && (log.phase.name === 'open' || log.phase.name === 'witnessing')
        sendJson(response, ready ? 200 : 503, { ready, phase: isDraining() ? 'draining' : log.phase.name, reason: log.phase.reason })
      }
    }
  ]
}

/**
 * @param {import('./metrics').LogMetrics} metrics
 * @param {Log} log
 */
function watch (metrics, log) {
  metrics.gauge('bzzz_log_length', 'Durable blocks.', () => log.head.length)
  metrics.gauge('bzzz_log_fork', 'Times the log was truncated; anything but 0 is a conflict.', () => log.head.fork)
  metrics.gauge('bzzz_log_recovering', '1 while blocks are missing and appends are refused.', () => Number(log.recovering))
  metrics.gauge('bzzz_log_conflict', '1 when two signed histories exist.', () => Number(log.conflict))
  metrics.gauge('bzzz_log_archives', 'Archives connected.', () => log.opened?.peers.length ?? 0)
}

module.exports = { startSidecar }
