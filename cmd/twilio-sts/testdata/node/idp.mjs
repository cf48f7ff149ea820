// A real OpenID provider on loopback. The first line of standard input is JSON:
// port, jwks (private keys, of which the first signs), clients (metadata of
// public clients beyond what all have) and accounts (claims by login). It says
// "issuer URL" when it listens, "jwks" and by whom when its keys are fetched, on
// standard error which logout notices failed, and ends when standard input does.
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { Provider } from 'oidc-provider'

const input = createInterface({ input: process.stdin })
input.once('line', line => start(JSON.parse(line)))
input.once('close', () => process.exit())

function start({ port, jwks, clients, accounts }) {
  const server = createServer()
  server.listen(port, '127.0.0.1', () => {
    const issuer = `http://127.0.0.1:${port}`
    const provider = new Provider(issuer, {
      jwks,
      clients: clients.map(client => ({
        ...client,
        application_type: 'native',
        redirect_uris: ['http://127.0.0.1/callback'],
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code'],
      })),
      claims: { openid: ['sub', 'email', 'email_verified', 'groups'] },
      conformIdTokenClaims: false,
      features: { backchannelLogout: { enabled: true } },
      // Its own dispatcher would keep notices off loopback.
      fetch: (url, { dispatcher, ...options }) => fetch(url, options),
      findAccount: (_, id) => accounts[id] && { accountId: id, claims: () => ({ sub: id, ...accounts[id] }) },
    })
    provider.use((ctx, next) => {
      if (ctx.path === '/jwks') console.log('jwks', ctx.get('user-agent'))
      return next()
    })
    provider.on('backchannel.error', (_, error) => console.error('logout notice:', error.message))
    server.on('request', provider.callback())
    console.log('issuer', issuer)
  })
}
