// One js-libp2p node of the mesh that ours is measured beside. Driven by lines of JSON on stdin, answers on stdout;
// tools/bench/mesh_node.py speaks the same, and tools/bench/mesh_gossip.py says what the lines mean.
import { createInterface } from 'node:readline'
import { gossipsub } from '@libp2p/gossipsub'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

const POLL_MS = 50
const text = new TextDecoder()
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const config = JSON.parse((await lines.next()).value)
let phase

const say = (event, fields = {}) => process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`)
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const cpuMs = () => {
  const used = process.cpuUsage()
  return (used.user + used.system) / 1000
}

const node = await createLibp2p({
  privateKey: await generateKeyPairFromSeed('Ed25519', Buffer.from(config.seed, 'hex')),
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  // Everybody dials from one address: the limits against one host that opens many connections are not for this.
  connectionManager: { inboundConnectionThreshold: Infinity, maxIncomingPendingConnections: 1000 },
  connectionMonitor: { enabled: false },
  services: {
    identify: identify(),
    pubsub: gossipsub({
      D: config.degree[0],
      Dlo: config.degree[1],
      Dhi: config.degree[2],
      scoreParams: { IPColocationFactorWeight: 0 }
    })
  }
})
const pubsub = node.services.pubsub

pubsub.addEventListener('message', ({ detail }) => {
  if (detail.topic !== config.topic || phase === undefined) return
  const now = process.hrtime.bigint()
  const [name, sender, number, sent] = text.decode(detail.data.subarray(0, 100)).split(' ')
  if (name !== phase.name) return
  const key = `${sender}-${number}`
  if (phase.latencies[key] !== undefined) return
  phase.latencies[key] = Number(now - BigInt(sent)) / 1e6
  phase.lastNs = now
  phase.received += 1
  checkDone()
})

function checkDone () {
  if (phase.published === phase.publish && phase.received === phase.expect) say('done')
}

function arm (command) {
  phase = { ...command, latencies: {}, received: 0, published: 0, firstNs: null, lastNs: null, cpu: cpuMs() }
  say('armed')
}

async function publish (run) {
  const started = process.hrtime.bigint()
  for (let number = 0; number < run.publish; number += 1) {
    if (run.rate > 0) await sleep(Math.max(0, number * 1000 / run.rate - Number(process.hrtime.bigint() - started) / 1e6))
    const now = process.hrtime.bigint()
    run.firstNs ??= now
    await pubsub.publish(config.topic, Buffer.from(`${run.name} ${config.number} ${number} ${now} `.padEnd(run.size, 'x')))
    run.published += 1
  }
  checkDone()
}

async function join () {
  const wanted = Math.min(config.others, config.degree[1])
  while (pubsub.getSubscribers(config.topic).length < config.others || pubsub.getMeshPeers(config.topic).length < wanted) {
    await sleep(POLL_MS)
  }
  say('joined')
}

pubsub.subscribe(config.topic)
for (const peer of config.peers) await node.dial(multiaddr(peer))
say('ready', { address: node.getMultiaddrs()[0].toString() })

for await (const line of lines) {
  const command = JSON.parse(line)
  if (command.do === 'join') join()
  else if (command.do === 'arm') arm(command)
  else if (command.do === 'go') publish(phase)
  else if (command.do === 'report') {
    say('report', {
      latencies: phase.latencies,
      firstNs: phase.firstNs === null ? null : Number(phase.firstNs),
      lastNs: phase.lastNs === null ? null : Number(phase.lastNs),
      cpuMs: cpuMs() - phase.cpu
    })
  }
}
await node.stop()
