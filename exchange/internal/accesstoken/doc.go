// Package accesstoken mints Twilio access tokens from approvals: a decision
// bound to the verified ID token it was made for.
//
// It is the only package that imports twilio-go, and of that only client/jwt.
package accesstoken
