package exchange

import (
	"slices"
	"strings"
	"time"

	"twilio-sts/config/rules"
	"twilio-sts/exchange/internal/accesstoken"
)

// An Answer is a successful exchange as RFC 8693 §2.2.1 words it, with what an
// app would otherwise decode the token for.
type Answer struct {
	AccessToken     string         `json:"access_token"`
	IssuedTokenType string         `json:"issued_token_type"`
	TokenType       string         `json:"token_type"`
	ExpiresIn       int64          `json:"expires_in"` // seconds
	RefreshIn       int64          `json:"refresh_in"` // seconds
	Scope           string         `json:"scope"`
	Identity        string         `json:"identity"`
	Grants          map[string]any `json:"grants"` // as in the token
	Region          string         `json:"region"`
}

func newAnswer(requestedTokenType string, d *rules.Decision, t *accesstoken.Token) *Answer {
	// RFC 8693 §2.2.1: N_A is the type of a token that is no access token of
	// OAuth's. Strict clients refuse it, so it is given only to who asks.
	tokenType := "Bearer"
	if requestedTokenType == tokenTypeJWT {
		tokenType = "N_A"
	}
	kinds := kindNames(d)
	slices.Sort(kinds)
	return &Answer{
		AccessToken:     t.JWT,
		IssuedTokenType: requestedTokenType,
		TokenType:       tokenType,
		ExpiresIn:       int64(t.TTL / time.Second),
		RefreshIn:       int64(refreshIn(t.TTL) / time.Second),
		Scope:           strings.Join(kinds, " "),
		Identity:        t.Identity,
		Grants:          t.Grants,
		Region:          t.Region,
	}
}

func kindNames(d *rules.Decision) []string {
	var names []string
	for _, kind := range d.Grants.Kinds() {
		names = append(names, string(kind))
	}
	return names
}

// refreshIn returns when an app should come back for a token that lives for
// ttl: a tenth of its life before the end, or the four minutes that the Sync
// and Conversations SDKs need, or half of a short life; in whole seconds.
func refreshIn(ttl time.Duration) time.Duration {
	return (ttl - max(ttl/10, min(240*time.Second, ttl/2))).Truncate(time.Second)
}
