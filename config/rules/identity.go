package rules

import "strings"

// The longest identity each product takes, in bytes. Voice's documentation
// names 256 and 121; what is shorter is safe under both.
const (
	maxIdentity      = 256
	maxIdentityVideo = 128
	maxIdentityVoice = 121
)

// CheckIdentity reports whether Twilio would take identity for every kind in
// grants. The error is a *Refusal for IdentityInvalid.
func CheckIdentity(identity string, grants *Grants) error {
	invalid := func(why string) error { return Refuse(IdentityInvalid, "the identity %s", why) }
	switch {
	case identity == "":
		return invalid("is empty")
	case !isPlain(identity):
		return invalid("has control characters or is not UTF-8")
	case len(identity) > maxIdentity:
		return invalid("is longer than 256 bytes")
	case grants.Video != nil && len(identity) > maxIdentityVideo:
		return invalid("is longer than the 128 bytes that Video takes")
	case grants.Voice != nil && len(identity) > maxIdentityVoice:
		return invalid("is longer than the 121 bytes that Voice takes")
	case grants.Voice != nil && !isWord(identity):
		return invalid("has characters that Voice does not take; escape() writes none of them")
	case grants.Chat != nil && isReserved(identity):
		return invalid("is reserved by Conversations")
	}
	return nil
}

// isWord reports whether s is made of [A-Za-z0-9_].
func isWord(s string) bool {
	for i := range len(s) {
		if !isIdent(s[i]) {
			return false
		}
	}
	return true
}

// isReserved reports whether Conversations keeps the identity for itself.
func isReserved(identity string) bool {
	switch identity {
	case "system", "private", "unique":
		return true
	}
	return isSID("US", identity) && strings.ToLower(identity[2:]) == identity[2:]
}
