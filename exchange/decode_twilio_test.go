package exchange_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/exchange"
	"twilio-sts/exchange/exchangetest"
)

// sid is a SID of a kind.
func sid(kind string) string { return kind + strings.Repeat("0", 32) }

// TestDecodeTwilio changes one thing after the other about a token that Twilio
// takes.
func TestDecodeTwilio(t *testing.T) {
	t.Parallel()
	key := exchangetest.NewKey(t, "ES256", "k1")
	now := siteTime.Unix()
	const day = 24 * 60 * 60
	all := m{
		"identity":    "ada_1",
		"voice":       m{"incoming": m{"allow": true}, "outgoing": m{"application_sid": sid("AP"), "params": m{"team": "emea"}}, "push_credential_sid": sid("CR")},
		"video":       m{"room": "lobby"},
		"chat":        m{"service_sid": sid("IS"), "deployment_role_sid": sid("RL"), "push_credential_sid": sid("CR"), "endpoint_id": "x"},
		"data_sync":   m{"service_sid": "default"},
		"task_router": m{"workspace_sid": sid("WS"), "worker_sid": sid("WK"), "role": "worker"},
	}
	changed := func(base, changes m) m {
		out := m{}
		for _, from := range []m{base, changes} {
			for name, value := range from {
				if out[name] = value; value == nil {
					delete(out, name)
				}
			}
		}
		return out
	}
	token := func(header, payload, grants m) string {
		return key.Sign(changed(m{"alg": "HS256", "typ": "JWT", "cty": "twilio-fpa;v=1"}, header),
			changed(m{"jti": sid("SK") + "-1", "iss": sid("SK"), "sub": sid("AC"), "iat": now - 60, "exp": now + 3540, "grants": changed(all, grants)}, payload))
	}
	only := func(grants m) string { return token(nil, m{"grants": grants}, nil) }

	const noRoom = "grants.video names no room, which opens every room"
	for _, test := range []struct {
		name, token string
		problems    []string
	}{
		{"in order", token(nil, nil, nil), nil},
		{"of a region", token(m{"twr": "ie1"}, nil, m{"video": nil}), nil},
		{"of the usual region", token(m{"twr": "us1"}, nil, nil), nil},
		{"as twilio-go dates it", token(nil, m{"iat": nil, "nbf": now - 60}, nil), nil},
		{"undated", token(nil, m{"iat": nil, "exp": now + day - 1}, nil), nil},
		{"room by its SID", token(nil, nil, m{"video": m{"room": sid("RM")}}), nil},
		{"as long as it may live", token(nil, m{"exp": now - 60 + day - 1}, nil), nil},

		{"no header to tell it by", token(m{"alg": "RS256", "typ": nil, "cty": nil}, nil, nil),
			[]string{"alg is not HS256 (Twilio error 20102)", "typ is not JWT (Twilio error 20102)", "cty is not twilio-fpa;v=1 (Twilio error 20102)"}},
		{"grants alone to tell it by", token(m{"cty": nil}, m{"iss": "acme"}, nil),
			[]string{"cty is not twilio-fpa;v=1 (Twilio error 20102)", "iss is not an API key SID, SK and 32 hex digits (Twilio error 20103)"}},
		{"iss alone to tell it by", token(m{"cty": nil}, m{"grants": nil}, nil),
			[]string{"cty is not twilio-fpa;v=1 (Twilio error 20102)", "grants grants nothing (Twilio error 20106)", "grants has no identity (Twilio error 20106)"}},
		{"version 2", token(m{"cty": "twilio-fpa;v=2"}, nil, nil), []string{"cty is not twilio-fpa;v=1 (Twilio error 20102)"}},
		{"key and account the wrong way round", token(nil, m{"iss": sid("AC"), "sub": sid("SK")}, nil),
			[]string{"iss is not an API key SID, SK and 32 hex digits (Twilio error 20103)", "sub is not an account SID, AC and 32 hex digits (Twilio error 20103)"}},
		{"no jti", token(nil, m{"jti": nil}, nil), []string{"jti is missing"}},

		{"region with video", token(m{"twr": "ie1"}, nil, nil), []string{"video exists in region us1 alone, and twr is ie1 (Twilio error 51007)"}},
		{"no region", token(m{"twr": "dublin"}, nil, nil), []string{"twr is none of Twilio's regions: us1, ie1, au1 (Twilio error 20101)"}},

		{"no exp", token(nil, m{"exp": nil}, nil), []string{"exp is missing (Twilio error 20104)"}},
		{"a day long", token(nil, m{"exp": now - 60 + day}, nil), []string{"it lives for 24 hours, and may for 86399 seconds at most (Twilio error 20157)"}},
		{"a day from now", token(nil, m{"iat": nil, "exp": now + day}, nil), []string{"it lives for 24 hours, and may for 86399 seconds at most (Twilio error 20157)"}},
		{"in milliseconds", token(nil, m{"iat": (now - 60) * 1000, "exp": (now + 60) * 1000}, nil),
			[]string{"exp is in milliseconds, and seconds are wanted (Twilio error 20157)", "iat is in milliseconds, and seconds are wanted (Twilio error 20157)"}},
		{"expired", token(nil, m{"exp": now - 30, "iat": now - 3600}, nil), []string{"it expired 30 seconds ago (Twilio error 20104)"}},
		{"too early", token(nil, m{"nbf": now + 5}, nil), []string{"it is not valid for another 5 seconds (nbf) (Twilio error 20105)"}},
		{"short", token(nil, m{"iat": now, "exp": now + 239}, nil), []string{"it lives for 3 minutes, and chat and sync ask for another one 3 minutes before the end"}},
		{"short, and nobody minds", token(nil, m{"iat": now, "exp": now + 239}, m{"chat": nil, "data_sync": nil}), nil},

		{"no identity", token(nil, nil, m{"identity": nil}), []string{"grants has no identity (Twilio error 20106)"}},
		{"an empty identity", token(nil, nil, m{"identity": ""}), []string{"grants has no identity (Twilio error 20106)"}},
		{"a number for an identity", token(nil, nil, m{"identity": 7}), []string{"grants.identity is not text (Twilio error 20106)"}},
		{"an identity that Voice does not take", token(nil, nil, m{"identity": "auth0|1"}),
			[]string{"the identity has characters that Voice does not take; escape() writes none of them (Twilio error 31105)"}},
		{"the same without voice", token(nil, nil, m{"identity": "auth0|1", "voice": nil}), nil},
		{"a long identity", token(nil, nil, m{"identity": strings.Repeat("a", 129)}),
			[]string{"the identity is longer than the 121 bytes that Voice takes (Twilio error 31105)", "the identity is longer than the 128 bytes that Video takes (Twilio error 53201)"}},
		{"too long an identity", token(nil, nil, m{"identity": strings.Repeat("a", 257)}), []string{"the identity is longer than 256 bytes"}},
		{"a reserved identity", token(nil, nil, m{"identity": "system"}), []string{"the identity is reserved by Conversations (Twilio error 50203)"}},

		{"nothing", only(m{"identity": "a"}), []string{"grants grants nothing (Twilio error 20106)"}},
		{"not nothing", only(m{"chat": m{"service_sid": sid("IS")}}), []string{"grants has no identity (Twilio error 20106)"}},
		{"no grants", token(nil, m{"grants": "all"}, nil), []string{"grants grants nothing (Twilio error 20106)", "grants has no identity (Twilio error 20106)"}},
		{"other words for them", only(m{"identity": "a", "sync": m{}, "conversations": m{}, "taskrouter": m{}, "ip_messaging": m{}, "rtc": m{}, "player": m{}}), []string{
			"grants.conversations is not the key of Conversations' grant, which is chat",
			"grants.ip_messaging is of a product that Twilio has ended; Conversations' grant is chat",
			"grants.player is of a product that Twilio has ended",
			"grants.rtc is of a product that Twilio has ended; Video's grant is video",
			"grants.sync is not the key of Sync's grant, which is data_sync",
			"grants.taskrouter is not the key of TaskRouter's grant, which is task_router",
		}},
		{"something else", token(nil, nil, m{"\x1b[1m": m{}}), []string{`grants has "\x1b[1m", and Twilio has voice, video, chat, data_sync and task_router`}},
		{"no object", token(nil, nil, m{"chat": true}), []string{"grants.chat is not an object (Twilio error 20106)"}},

		{"every SID of the wrong kind", token(nil, nil, m{
			"voice":       m{"incoming": m{"allow": true}, "outgoing": m{"application_sid": sid("IS")}, "push_credential_sid": sid("AP")},
			"video":       m{"room": sid("IS")},
			"chat":        m{"service_sid": sid("WS"), "deployment_role_sid": sid("CR"), "push_credential_sid": "CR1"},
			"data_sync":   m{"service_sid": sid("WS")},
			"task_router": m{"workspace_sid": sid("WK"), "worker_sid": 7},
		}), []string{
			"grants.chat.service_sid is not a SID of its kind, IS and 32 hex digits (Twilio error 51007)",
			"grants.chat.deployment_role_sid is not a SID of its kind, RL and 32 hex digits",
			"grants.chat.push_credential_sid is not a SID of its kind, CR and 32 hex digits (Twilio error 52002)",
			"grants.data_sync.service_sid is neither a name nor a SID of the kind IS (Twilio error 51007)",
			"grants.task_router.workspace_sid is not a SID of its kind, WS and 32 hex digits",
			"grants.task_router.worker_sid is not a SID of its kind, WK and 32 hex digits",
			"grants.video.room is neither a name nor a SID of the kind RM (Twilio error 20106)",
			"grants.voice.outgoing.application_sid is not a SID of its kind, AP and 32 hex digits (Twilio error 21218)",
			"grants.voice.push_credential_sid is not a SID of its kind, CR and 32 hex digits (Twilio error 52002)",
		}},
		{"empty grants", token(nil, nil, m{"voice": m{}, "video": m{}, "chat": m{}, "data_sync": m{}, "task_router": m{}}), []string{
			"grants.chat.service_sid is missing (Twilio error 51007)",
			"grants.data_sync.service_sid is missing (Twilio error 51007)",
			"grants.task_router.workspace_sid is missing",
			noRoom,
			"grants.voice allows neither incoming nor outgoing calls (Twilio error 51007)",
		}},
		{"an empty room", token(nil, nil, m{"video": m{"room": ""}}), []string{noRoom}},
		{"an empty service", token(nil, nil, m{"data_sync": m{"service_sid": ""}}), []string{"grants.data_sync.service_sid is missing (Twilio error 51007)"}},
		{"a long room", token(nil, nil, m{"video": m{"room": strings.Repeat("a", 129)}}), []string{"grants.video.room is longer than 128 bytes (Twilio error 53101)"}},
		{"an old grant", token(nil, nil, m{"video": m{"room": "a", "configuration_profile_sid": "VS1"}}),
			[]string{"grants.video.configuration_profile_sid is of old, and keeps Video from reconnecting"}},
		{"calls to nowhere", token(nil, nil, m{"voice": m{"outgoing": m{"params": m{}}}}), []string{"grants.voice.outgoing has no application_sid (Twilio error 51007)"}},
		{"calls that are not allowed", token(nil, nil, m{"voice": m{"incoming": m{"allow": false}}}), []string{"grants.voice allows neither incoming nor outgoing calls (Twilio error 51007)"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d, err := exchange.Decode(test.token, siteTime)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(append([]string{}, test.problems...), d.Problems); d.Kind != "Twilio access token" || diff != "" {
				t.Errorf("%s; problems (-want +got):\n%s", d.Kind, diff)
			}
		})
	}
}

func TestDecodeTellsTimes(t *testing.T) {
	t.Parallel()
	key := exchangetest.NewKey(t, "ES256", "k1")
	for after, want := range map[time.Duration]string{
		0:                          "just now",
		-time.Second:               "1 second ago",
		time.Second:                "in 1 second",
		119 * time.Second:          "in 119 seconds",
		-3 * time.Minute:           "3 minutes ago",
		54 * time.Minute:           "in 54 minutes",
		119 * time.Minute:          "in 119 minutes",
		-47 * time.Hour:            "47 hours ago",
		48 * time.Hour:             "in 2 days",
		-20 * 365 * 24 * time.Hour: "20 years ago",
	} {
		at := siteTime.Add(after).UTC().Truncate(time.Second)
		d, err := exchange.Decode(key.Token(m{"auth_time": at.Unix()}), siteTime.Truncate(time.Second).Add(time.Second-1))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]exchange.Moment{{Claim: "auth_time", At: at, Away: want}}, d.Times); diff != "" {
			t.Errorf("times (-want +got):\n%s", diff)
		}
	}
}
