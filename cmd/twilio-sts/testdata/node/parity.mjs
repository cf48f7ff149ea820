// Makes access tokens with Twilio's own library and prints their headers and
// payloads. Standard input is a JSON list of what each is made from: accountSid,
// keySid, secret, options for the token, and grants as in a configuration of
// ours.
import { json } from 'node:stream/consumers'
import twilio from 'twilio'

const { AccessToken } = twilio.jwt
const grantTypes = {
  voice: AccessToken.VoiceGrant,
  video: AccessToken.VideoGrant,
  chat: AccessToken.ChatGrant,
  sync: AccessToken.SyncGrant,
  task_router: AccessToken.TaskRouterGrant,
}

// The library's names are ours in camel case, with these exceptions.
const optionNames = { outgoing_params: 'outgoingApplicationParams' }
const camelCase = name => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase())
const optionsOf = grant => Object.fromEntries(Object.entries(grant)
  .filter(([name]) => name !== 'any_room') // a video grant without a room is for all rooms
  .map(([name, value]) => [optionNames[name] ?? camelCase(name), value]))

const decode = part => JSON.parse(Buffer.from(part, 'base64url'))

console.log(JSON.stringify((await json(process.stdin)).map(({ accountSid, keySid, secret, options, grants }) => {
  const token = new AccessToken(accountSid, keySid, secret, options)
  for (const [kind, grant] of Object.entries(grants)) {
    token.addGrant(new grantTypes[kind](optionsOf(grant)))
  }
  const [header, payload] = token.toJwt().split('.')
  return { header: decode(header), payload: decode(payload) }
})))
