package exchange

import (
	"fmt"
	"strings"
	"time"

	"twilio-sts/config/rules"
	"twilio-sts/exchange/internal/idtoken"
)

// Decoded is a token's content, unverified, with what is wrong with it as far
// as can be seen without keys.
type Decoded struct {
	Kind     string         `json:"kind"` // "ID token" or "Twilio access token"
	Header   map[string]any `json:"header"`
	Claims   rules.Claims   `json:"claims"`
	Times    []Moment       `json:"times"`
	Problems []string       `json:"problems"`
}

// A Moment is a claim that is a time, as people read it.
type Moment struct {
	Claim string    `json:"claim"`
	At    time.Time `json:"at"`   // UTC
	Away  string    `json:"away"` // "in 54 minutes", "3 minutes ago"
}

const (
	kindIDToken = "ID token"
	kindTwilio  = "Twilio access token"
)

// Decode reads a compact JWT as strictly as the exchange does, without
// verifying it. The error says why it cannot be read, and never quotes it.
func Decode(raw string, now time.Time) (*Decoded, error) {
	header, claims, err := idtoken.Inspect(raw)
	if err != nil {
		return nil, err
	}
	d := &Decoded{Kind: kindIDToken, Header: header, Claims: claims, Times: []Moment{}, Problems: []string{}}
	for _, name := range []string{"auth_time", "iat", "nbf", "exp"} {
		if at, ok := seconds(claims[name]); ok {
			d.Times = append(d.Times, Moment{name, at.UTC(), away(at.Sub(now.Truncate(time.Second)))})
		}
	}
	if meantForTwilio(header, claims) {
		d.Kind = kindTwilio
		d.checkTwilio(now)
	} else {
		d.checkIDToken()
	}
	d.checkTimes(now)
	return d, nil
}

// meantForTwilio tells a Twilio token by any of its marks, since each may be
// what is wrong with it. The iss of an ID token is a URL.
func meantForTwilio(header map[string]any, claims rules.Claims) bool {
	cty, _ := header["cty"].(string)
	iss, _ := claims["iss"].(string)
	return strings.HasPrefix(cty, "twilio-") || strings.HasPrefix(iss, "SK") ||
		claims["grants"] != nil && !strings.Contains(iss, "://")
}

// problem notes what is wrong, with the code by which Twilio says so; 0 when
// that is not known.
func (d *Decoded) problem(code int, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if code != 0 && d.Kind == kindTwilio {
		text += fmt.Sprintf(" (Twilio error %d)", code)
	}
	d.Problems = append(d.Problems, text)
}

func (d *Decoded) checkIDToken() {
	switch alg, _ := d.Header["alg"].(string); {
	case alg == "":
		d.problem(0, "alg is missing")
	case strings.EqualFold(alg, "none"):
		d.problem(0, "alg is none: the token is not signed")
	case strings.HasPrefix(alg, "HS"):
		d.problem(0, "alg is %s: signed with a shared secret, which is never accepted", alg)
	}
	if typ, ok := d.Header["typ"].(string); ok && !strings.EqualFold(strings.TrimPrefix(strings.ToLower(typ), "application/"), "jwt") {
		d.problem(0, "typ says that this is another kind of token")
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat"} {
		if d.Claims[name] == nil {
			d.problem(0, "%s is missing", name)
		}
	}
	if _, ok := d.Claims["events"]; ok {
		d.problem(0, "events makes this a logout or security event token")
	}
}

// aMillisecond is the first number of seconds that is taken for milliseconds:
// as such it is in 2001.
const aMillisecond = 1_000_000_000_000

func (d *Decoded) checkTimes(now time.Time) {
	for _, name := range []string{"exp", "nbf", "iat"} {
		claim := d.Claims[name]
		if n, ok := claim.(int64); ok && n >= aMillisecond {
			d.problem(20157, "%s is in milliseconds, and seconds are wanted", name)
		} else if _, ok := seconds(claim); !ok && claim != nil {
			d.problem(0, "%s is not a whole number of seconds", name)
		}
	}
	exp, hasExp := seconds(d.Claims["exp"])
	if hasExp && !now.Before(exp) {
		d.problem(20104, "it expired %s", away(exp.Sub(now)))
	}
	if nbf, ok := seconds(d.Claims["nbf"]); ok && now.Before(nbf) {
		d.problem(20105, "it is not valid for another %s (nbf)", span(nbf.Sub(now)))
	}
	if iat, ok := seconds(d.Claims["iat"]); ok && now.Before(iat) {
		d.problem(0, "it was issued %s from now (iat): one of the two clocks is wrong", span(iat.Sub(now)))
	} else if ok && hasExp && exp.Before(iat) {
		d.problem(0, "exp is before iat")
	}
}

func seconds(claim any) (time.Time, bool) {
	n, ok := claim.(int64)
	if !ok || n < 0 || n > 253402300799 { // 9999-12-31T23:59:59Z
		return time.Time{}, false
	}
	return time.Unix(n, 0), true
}

// away says how far something is from now.
func away(d time.Duration) string {
	switch {
	case d > 0:
		return "in " + span(d)
	case d > -time.Second:
		return "just now"
	}
	return span(-d) + " ago"
}

// span says how long something is, in the largest unit of which there are two.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	for _, unit := range []struct {
		name   string
		length time.Duration
	}{{"year", 365 * day}, {"day", day}, {"hour", time.Hour}, {"minute", time.Minute}} {
		if d >= 2*unit.length {
			return fmt.Sprintf("%d %ss", d/unit.length, unit.name)
		}
	}
	if d < 2*time.Second {
		return "1 second"
	}
	return fmt.Sprintf("%d seconds", d/time.Second)
}
