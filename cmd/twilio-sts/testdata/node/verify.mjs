// Verifies access tokens as Twilio does, and prints their headers and payloads.
// Standard input is a JSON list: token and secret of each.
import { json } from 'node:stream/consumers'
import { jwtVerify } from 'jose'

const verified = (await json(process.stdin)).map(async ({ token, secret }) => {
  const { protectedHeader, payload } = await jwtVerify(token, new TextEncoder().encode(secret), { algorithms: ['HS256'] })
  return { header: protectedHeader, payload }
})
console.log(JSON.stringify(await Promise.all(verified)))
