// Runs emulate's GitHub behind the gateway.
//
// Standard input: one line of JSON {baseUrl, seed}, then nothing; its end is the order to stop, so that this
// process never outlives a gateway that was killed. Standard output: one line {"port"}.
import { once } from 'node:events'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { createEmulator } from 'emulate'

const HOST = '127.0.0.1'
const ATTEMPTS = 5

const lines = createInterface({ input: process.stdin })
let emulator

async function stop() {
  await emulator?.close()
  process.exit(0)
}

// With a baseUrl of another origin createEmulator({port: 0}) never tells the port it got, hence a probe and,
// should someone else take the port in between, another try.
async function freePort() {
  const probe = createServer().listen(0, HOST)
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  await once(probe, 'close')
  return port
}

async function start({ baseUrl, seed }) {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    try {
      emulator = await createEmulator({ service: 'github', hostname: HOST, port, baseUrl, seed })
      return port
    } catch (error) {
      if (error.code !== 'EADDRINUSE' || attempt === ATTEMPTS) throw error
    }
  }
}

lines.on('close', stop)
process.on('SIGTERM', stop)
// The terminal's Ctrl-C reaches the whole process group; the gateway decides when we stop.
process.on('SIGINT', () => {})

lines.once('line', async (line) => {
  const port = await start(JSON.parse(line))
  process.stdout.write(JSON.stringify({ port }) + '\n')
})
