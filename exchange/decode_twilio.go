package exchange

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"twilio-sts/config/rules"
)

// Twilio's bounds of a token's life.
const (
	mostTwilioLife  = 24*time.Hour - time.Second
	leastTwilioLife = 4 * time.Minute // chat and sync ask for a new token 3 minutes before the end
)

// sidShape is a Twilio SID of any kind.
var sidShape = regexp.MustCompile(`^[A-Z]{2}[0-9a-fA-F]{32}$`)

func isSID(kind, s string) bool { return sidShape.MatchString(s) && strings.HasPrefix(s, kind) }

// A grantField is a field of a grant that holds a SID.
type grantField struct {
	path   []string
	kind   string // of SID: AP, CR, …
	code   int    // Twilio's error for a wrong one
	needed bool   // the grant is nothing without it
	name   bool   // a unique name may stand for the SID
}

// twilioGrants are the grants there are, by their key in the token.
var twilioGrants = map[string][]grantField{
	"voice": {
		{path: []string{"outgoing", "application_sid"}, kind: "AP", code: 21218},
		{path: []string{"push_credential_sid"}, kind: "CR", code: 52002},
	},
	"video": {{path: []string{"room"}, kind: "RM", code: 20106, name: true}},
	"chat": {
		{path: []string{"service_sid"}, kind: "IS", code: 51007, needed: true},
		{path: []string{"deployment_role_sid"}, kind: "RL"},
		{path: []string{"push_credential_sid"}, kind: "CR", code: 52002},
	},
	"data_sync": {{path: []string{"service_sid"}, kind: "IS", code: 51007, needed: true, name: true}},
	"task_router": {
		{path: []string{"workspace_sid"}, kind: "WS", needed: true},
		{path: []string{"worker_sid"}, kind: "WK"},
	},
}

// notGrants are keys that stand where a grant's should, with what to say.
var notGrants = map[string]string{
	"sync":          "is not the key of Sync's grant, which is data_sync",
	"conversations": "is not the key of Conversations' grant, which is chat",
	"taskrouter":    "is not the key of TaskRouter's grant, which is task_router",
	"ip_messaging":  "is of a product that Twilio has ended; Conversations' grant is chat",
	"rtc":           "is of a product that Twilio has ended; Video's grant is video",
	"player":        "is of a product that Twilio has ended",
}

// checkTwilio looks for what makes Twilio refuse a token, or takes more from it
// than was meant.
func (d *Decoded) checkTwilio(now time.Time) {
	if d.Header["alg"] != "HS256" {
		d.problem(20102, "alg is not HS256")
	}
	if d.Header["typ"] != "JWT" {
		d.problem(20102, "typ is not JWT")
	}
	if d.Header["cty"] != "twilio-fpa;v=1" {
		d.problem(20102, "cty is not twilio-fpa;v=1")
	}
	if iss, _ := d.Claims["iss"].(string); !isSID("SK", iss) {
		d.problem(20103, "iss is not an API key SID, SK and 32 hex digits")
	}
	if sub, _ := d.Claims["sub"].(string); !isSID("AC", sub) {
		d.problem(20103, "sub is not an account SID, AC and 32 hex digits")
	}
	if jti, _ := d.Claims["jti"].(string); jti == "" {
		d.problem(0, "jti is missing")
	}
	grants, _ := d.Claims["grants"].(map[string]any)
	d.checkTwilioGrants(grants)
	d.checkTwilioIdentity(grants)
	d.checkTwilioRegion(grants)
	d.checkTwilioLife(grants, now)
}

func (d *Decoded) checkTwilioGrants(grants map[string]any) {
	found := 0
	for _, kind := range slices.Sorted(maps.Keys(grants)) {
		if kind == "identity" {
			continue
		}
		found++
		fields, known := twilioGrants[kind]
		grant, isObject := grants[kind].(map[string]any)
		switch {
		case notGrants[kind] != "":
			d.problem(0, "grants.%s %s", kind, notGrants[kind])
		case !known:
			d.problem(0, "grants has %q, and Twilio has voice, video, chat, data_sync and task_router", cutTo(kind, 40))
		case !isObject:
			d.problem(20106, "grants.%s is not an object", kind)
		default:
			for _, f := range fields {
				d.checkGrantField("grants."+kind, grant, f)
			}
			d.checkWhatIsGranted(kind, grant)
		}
	}
	if found == 0 {
		d.problem(20106, "grants grants nothing")
	}
}

// checkGrantField checks a field that holds a SID. An absent one is nil.
func (d *Decoded) checkGrantField(path string, grant map[string]any, f grantField) {
	var value any = grant
	for _, name := range f.path {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	text, isText := value.(string)
	path += "." + strings.Join(f.path, ".")
	switch {
	case f.needed && (value == nil || value == ""):
		d.problem(f.code, "%s is missing", path)
	case value == nil || f.name && value == "":
	case isText && (isSID(f.kind, text) || f.name && !sidShape.MatchString(text)):
	case f.name:
		d.problem(f.code, "%s is neither a name nor a SID of the kind %s", path, f.kind)
	default:
		d.problem(f.code, "%s is not a SID of its kind, %s and 32 hex digits", path, f.kind)
	}
}

// checkWhatIsGranted checks what a grant comes to beyond its SIDs.
func (d *Decoded) checkWhatIsGranted(kind string, grant map[string]any) {
	switch kind {
	case "voice":
		incoming, _ := grant["incoming"].(map[string]any)
		outgoing, _ := grant["outgoing"].(map[string]any)
		if grant["outgoing"] != nil && outgoing["application_sid"] == nil {
			d.problem(51007, "grants.voice.outgoing has no application_sid")
		} else if incoming["allow"] != true && grant["outgoing"] == nil {
			d.problem(51007, "grants.voice allows neither incoming nor outgoing calls")
		}
	case "video":
		room, isText := grant["room"].(string)
		switch {
		case grant["room"] == nil, grant["room"] == "":
			d.problem(0, "grants.video names no room, which opens every room")
		case isText && len(room) > 128:
			d.problem(53101, "grants.video.room is longer than 128 bytes")
		}
		if grant["configuration_profile_sid"] != nil {
			d.problem(0, "grants.video.configuration_profile_sid is of old, and keeps Video from reconnecting")
		}
	}
}

// checkTwilioIdentity checks the identity for each product by itself, since
// each has a code of its own.
func (d *Decoded) checkTwilioIdentity(grants map[string]any) {
	identity, isText := grants["identity"].(string)
	if grants["identity"] == nil || isText && identity == "" {
		d.problem(20106, "grants has no identity")
		return
	}
	if !isText {
		d.problem(20106, "grants.identity is not text")
		return
	}
	for _, product := range []struct {
		key  string // "": any
		code int
		only rules.Grants
	}{
		{"", 0, rules.Grants{}},
		{"voice", 31105, rules.Grants{Voice: &rules.Voice{}}},
		{"video", 53201, rules.Grants{Video: &rules.Video{}}},
		{"chat", 50203, rules.Grants{Chat: &rules.Chat{}}},
	} {
		if product.key != "" && grants[product.key] == nil {
			continue
		}
		if refusal, ok := rules.CheckIdentity(identity, &product.only).(*rules.Refusal); ok {
			d.problem(product.code, "%s", refusal.Detail)
			if product.key == "" {
				return // it is wrong for all of them
			}
		}
	}
}

func (d *Decoded) checkTwilioRegion(grants map[string]any) {
	twr := d.Header["twr"]
	region, _ := twr.(string)
	switch {
	case twr == nil || region == "us1":
	case region != "ie1" && region != "au1":
		d.problem(20101, "twr is none of Twilio's regions: us1, ie1, au1")
	case grants["video"] != nil:
		d.problem(51007, "video exists in region us1 alone, and twr is %s", region)
	}
}

func (d *Decoded) checkTwilioLife(grants map[string]any, now time.Time) {
	if d.Claims["exp"] == nil {
		d.problem(20104, "exp is missing")
	}
	exp, ok := seconds(d.Claims["exp"])
	if !ok {
		return
	}
	start := now
	for _, name := range []string{"nbf", "iat"} { // libraries write one or the other
		if at, ok := seconds(d.Claims[name]); ok {
			start = at
		}
	}
	switch life := exp.Sub(start); {
	case life > mostTwilioLife:
		d.problem(20157, "it lives for %s, and may for 86399 seconds at most", span(life))
	case life > 0 && life < leastTwilioLife && (grants["chat"] != nil || grants["data_sync"] != nil):
		d.problem(0, "it lives for %s, and chat and sync ask for another one 3 minutes before the end", span(life))
	}
}

// cutTo shortens what a token says to n characters.
func cutTo(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
