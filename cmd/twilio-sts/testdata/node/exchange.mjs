// Exchanges an ID token by way of a strict OAuth client: discovers the service
// by its metadata, asks with the token exchange grant, and prints the metadata
// and the answer as the client accepts them. Standard input is JSON: issuer,
// clientId, idToken and parameters beyond the grant's own.
import { json } from 'node:stream/consumers'
import * as oauth from 'oauth4webapi'

const { issuer, clientId, idToken, parameters } = await json(process.stdin)
const loopback = { [oauth.allowInsecureRequests]: true }
const url = new URL(issuer)
const server = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, { algorithm: 'oauth2', ...loopback }))
const client = { client_id: clientId }
const response = await oauth.genericTokenEndpointRequest(server, client, oauth.None(), 'urn:ietf:params:oauth:grant-type:token-exchange', {
  subject_token: idToken,
  subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
  ...parameters,
}, loopback)
try {
  const answer = await oauth.processGenericTokenEndpointResponse(server, client, response)
  console.log(JSON.stringify({ metadata: server, answer }))
} catch (error) {
  if (!(error instanceof oauth.ResponseBodyError)) throw error
  console.log(JSON.stringify({ status: error.status, body: error.cause }))
}
