#!/usr/bin/env node
'use strict'

// Starts one of the two modes, says so in one line on stdout, and ends in order on SIGTERM.

const { parseArgs } = require('node:util')
const { ConfigError, textOf, codeOf } = require('../lib/errors')
const { readLogConfig, readArchiveConfig } = require('../lib/config')
const logger = require('../lib/logger')

const HELP = `usage: hypercore-sidecar (log | archive) --config FILE

  log      one agent's append-only log: an API on a unix socket, replication to the archive
  archive  independent replicas of all logs: acknowledges lengths, serves blocks and proofs, heals logs

  --config FILE   JSON; docs/log.md lists the fields
  --help          this text

Prints one JSON line when ready. Logs are JSON lines on stderr. SIGTERM ends it in order.
Exit codes: 0 ended as asked, 1 failed, 2 cannot start as configured.
`

const STOP_DEADLINE_MS = 15_000

/** @typedef {{ ready: object, stop: () => Promise<void> }} Running */

async function main () {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { config: { type: 'string' }, help: { type: 'boolean', short: 'h' } }
  })
  if (values.help) {
    process.stdout.write(HELP)
    return
  }
  const [mode] = positionals
  if (positionals.length !== 1 || (mode !== 'log' && mode !== 'archive') || values.config === undefined) {
    throw new ConfigError('expected "log --config FILE" or "archive --config FILE"; see --help')
  }
  process.umask(0o077) // nothing that this process creates is for others, but the socket, which says so itself
  console.log = (...text) => logger.info('hypercore', { text: text.join(' ') }) // eslint-disable-line no-console -- Hypercore prints conflicts; stdout is ours
  /** @type {Running | null} */
  let running = null
  const end = () => running === null ? process.exit(0) : stop(running)
  process.once('SIGTERM', end) // before anything is open: process 1 of a container would not hear it otherwise
  process.once('SIGINT', end)
  running = await start(mode, values.config)
  process.stdout.write(JSON.stringify({ ready: true, ...running.ready }) + '\n')
}

/**
 * @param {'log' | 'archive'} mode
 * @param {string} config
 * @returns {Promise<Running>}
 */
function start (mode, config) {
  if (mode === 'log') return require('../lib/sidecar').startSidecar(readLogConfig(config), code => process.exit(code))
  return require('../lib/archive').startArchive(readArchiveConfig(config))
}

/** @param {Running} running */
async function stop (running) {
  setTimeout(() => {
    logger.error('stop_timed_out', { seconds: STOP_DEADLINE_MS / 1000 })
    process.exit(1)
  }, STOP_DEADLINE_MS).unref()
  await running.stop()
  logger.info('stopped')
  process.exit(0)
}

/** @param {unknown} error */
function fail (error) {
  const usage = error instanceof ConfigError || codeOf(error).startsWith('ERR_PARSE_ARGS')
  logger.error(usage ? 'cannot_start' : 'failed', usage
    ? { error: error instanceof Error ? error.message : '' }
    : { error: textOf(error), stack: error instanceof Error ? error.stack : undefined })
  process.exit(usage ? 2 : 1)
}

process.on('unhandledRejection', fail)
process.on('uncaughtException', fail)
main().catch(fail)
