// Package exchange is the service: an ID token goes in, a Twilio access token
// comes out, or a refusal that says what the caller can do about it.
//
// Service.Exchange is the whole of it: verify, decide, mint. Around it stand an
// HTTP server, the one table that turns refusals into answers, and the audit
// log. All of it hangs on an immutable snapshot of one configuration, which
// Service.Reload replaces. It is the only package that imports echo.
package exchange
