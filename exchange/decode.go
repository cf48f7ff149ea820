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
	Problems []string       `json:"problems"`
}

// Decode reads a compact JWT as strictly as the exchange does, without
// verifying it. The error says why it cannot be read, and never quotes it.
func Decode(raw string, now time.Time) (*Decoded, error) {
	header, claims, err := idtoken.Inspect(raw)
	if err != nil {
		return nil, err
	}
	d := &Decoded{Kind: "ID token", Header: header, Claims: claims, Problems: []string{}}
	if cty, _ := header["cty"].(string); strings.HasPrefix(cty, "twilio-") {
		d.Kind = "Twilio access token"
		d.checkTwilio(now)
	} else {
		d.checkIDToken()
	}
	d.checkTimes(now)
	return d, nil
}

func (d *Decoded) problem(format string, args ...any) {
	d.Problems = append(d.Problems, fmt.Sprintf(format, args...))
}

// checkTwilio looks for what makes Twilio answer 20101 to 20107.
func (d *Decoded) checkTwilio(now time.Time) {
	if d.Header["alg"] != "HS256" {
		d.problem("alg is not HS256 (Twilio error 20102)")
	}
	if d.Header["typ"] != "JWT" {
		d.problem("typ is not JWT (Twilio error 20102)")
	}
	if d.Header["cty"] != "twilio-fpa;v=1" {
		d.problem("cty is not twilio-fpa;v=1 (Twilio error 20102)")
	}
	if iss, _ := d.Claims["iss"].(string); !strings.HasPrefix(iss, "SK") {
		d.problem("iss is not an API key SID, SK… (Twilio error 20103)")
	}
	if sub, _ := d.Claims["sub"].(string); !strings.HasPrefix(sub, "AC") {
		d.problem("sub is not an account SID, AC… (Twilio error 20103)")
	}
	grants, _ := d.Claims["grants"].(map[string]any)
	if identity, _ := grants["identity"].(string); identity == "" {
		d.problem("grants has no identity (Twilio error 20106)")
	}
	if len(grants) < 2 {
		d.problem("grants grants nothing (Twilio error 20106)")
	}
	if d.Claims["exp"] == nil {
		d.problem("exp is missing (Twilio error 20104)")
	}
	if exp, ok := seconds(d.Claims["exp"]); ok && exp.Sub(now) > 24*time.Hour {
		d.problem("exp is more than 24 hours away (Twilio error 20157)")
	}
}

func (d *Decoded) checkIDToken() {
	switch alg, _ := d.Header["alg"].(string); {
	case alg == "":
		d.problem("alg is missing")
	case strings.EqualFold(alg, "none"):
		d.problem("alg is none: the token is not signed")
	case strings.HasPrefix(alg, "HS"):
		d.problem("alg is %s: signed with a shared secret, which is never accepted", alg)
	}
	if typ, ok := d.Header["typ"].(string); ok && !strings.EqualFold(strings.TrimPrefix(strings.ToLower(typ), "application/"), "jwt") {
		d.problem("typ says that this is another kind of token")
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat"} {
		if d.Claims[name] == nil {
			d.problem("%s is missing", name)
		}
	}
	if _, ok := d.Claims["events"]; ok {
		d.problem("events makes this a logout or security event token")
	}
}

func (d *Decoded) checkTimes(now time.Time) {
	if exp, ok := seconds(d.Claims["exp"]); !ok && d.Claims["exp"] != nil {
		d.problem("exp is not a whole number of seconds")
	} else if ok && !now.Before(exp) {
		d.problem("it expired %s ago", now.Sub(exp).Truncate(time.Second))
	}
	if nbf, ok := seconds(d.Claims["nbf"]); ok && now.Before(nbf) {
		d.problem("it is not valid for another %s (nbf)", nbf.Sub(now).Truncate(time.Second))
	}
	if iat, ok := seconds(d.Claims["iat"]); ok && now.Before(iat) {
		d.problem("it was issued %s from now (iat): one of the two clocks is wrong", iat.Sub(now).Truncate(time.Second))
	}
}

func seconds(claim any) (time.Time, bool) {
	n, ok := claim.(int64)
	if !ok || n < 0 || n > 253402300799 { // 9999-12-31T23:59:59Z
		return time.Time{}, false
	}
	return time.Unix(n, 0), true
}
