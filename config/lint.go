package config

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"twilio-sts/config/rules"
)

// everybody is what to write for a rule that is for whoever can sign in: a
// condition on sub counts as one that tells people apart.
const everybody = `, or, to mean everybody who can sign in there, claims.sub != ''`

// crowds returns who can have an issuer's tokens for our audiences without
// anybody's leave.
func crowds(is *Issuer, path string) []rules.Crowd {
	var all []rules.Crowd
	if c, ok := publicProvider(is); ok {
		c.ID = "public-issuer"
		all = append(all, c)
	}
	if c, ok := workloads(is, path+".issuer"); ok {
		c.ID = "workload-issuer"
		all = append(all, c)
	}
	return all
}

// publicProvider knows the issuers at which anybody can make an account. Their
// URLs are those of each provider's /.well-known/openid-configuration; that of
// all but Google, Apple and GitLab is from memory.
func publicProvider(is *Issuer) (rules.Crowd, bool) {
	anybody := func(where, hint string) (rules.Crowd, bool) {
		return rules.Crowd{Who: "anybody with an account at " + where, Hint: hint + everybody}, true
	}
	bySubject := "add a condition on who it is: claims.sub in ['…']"
	byAddress := "add a condition on whose people they are: claims.email.endsWith('@example.com') && claims.email_verified"
	url := strings.TrimSuffix(is.URL, "/")
	switch {
	case is.Provider == "google", url == "https://accounts.google.com":
		return anybody("Google", "add a condition on whose people they are: claims.hd == 'example.com'")
	case is.Provider == "apple", url == "https://appleid.apple.com":
		return anybody("Apple", bySubject)
	case url == "https://gitlab.com":
		return anybody("gitlab.com", "add a condition on whose people they are: 'example' in claims.groups_direct")
	case url == "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0":
		return anybody("Microsoft", bySubject)
	case url == "https://www.facebook.com":
		return anybody("Facebook", bySubject)
	case url == "https://www.linkedin.com/oauth":
		return anybody("LinkedIn", byAddress)
	case url == "https://api.login.yahoo.com":
		return anybody("Yahoo", bySubject)
	case url == "https://access.line.me":
		return anybody("LINE", bySubject)
	case url == "https://id.twitch.tv/oauth2":
		return anybody("Twitch", bySubject)
	case url == "https://slack.com":
		return anybody("Slack", "add a condition on whose people they are: claims['https://slack.com/team_id'] == 'T…'")
	}
	return rules.Crowd{}, false
}

// clusterURL is of issuers of Kubernetes clusters: their own names, Amazon's,
// Google's and Microsoft's. (From memory.)
var clusterURL = regexp.MustCompile(`^https://(kubernetes\.default\.svc(\.cluster\.local)?|oidc\.eks\.[a-z0-9-]+\.amazonaws\.com/id/\w+|container\.googleapis\.com/v1/projects/.+/clusters/.+|[a-z0-9-]+\.oic\.prod-aks\.azure\.com/.+)$`)

// workloads knows the issuers that give machines tokens for whatever audience
// they ask for.
func workloads(is *Issuer, path string) (rules.Crowd, bool) {
	url := strings.TrimSuffix(is.URL, "/")
	c := rules.Crowd{Path: path}
	switch {
	case url == "https://token.actions.githubusercontent.com":
		c.Who = "the jobs of every repository on GitHub, which name the audience themselves"
		c.Claims = []string{"sub", "repository", "repository_id", "repository_owner", "repository_owner_id", "job_workflow_ref", "enterprise", "enterprise_id"}
		c.Hint = "add claims.repository_owner_id == '…' to when"
	case clusterURL.MatchString(url):
		c.Who = "every pod of the cluster, which names the audience itself"
		c.Claims = []string{"sub", "kubernetes.io"}
		c.Hint = "add claims.sub == 'system:serviceaccount:NAMESPACE:NAME' to when"
	case url == "https://gitlab.com" && is.Provider != "gitlab":
		c.Who = "the jobs of every project on gitlab.com, which name the audience themselves"
		c.Claims = []string{"azp", "client", "sub", "namespace_id", "namespace_path", "project_id", "project_path", "groups_direct"}
		c.Hint = "write provider: gitlab, which takes people's tokens alone"
	case url == "https://accounts.google.com" && is.Provider != "google":
		c.Who = "every service account at Google, which names the audience itself"
		c.Claims = []string{"azp", "client", "sub", "hd"}
		c.Hint = "write provider: google, which demands azp"
	default:
		return c, false
	}
	return c, true
}

// editable returns claims that nothing in an issuer's tokens vouches for.
func editable(is *Issuer) []string {
	u, err := url.Parse(is.URL)
	switch {
	case is.Provider == "entra", err == nil && slices.Contains([]string{"login.microsoftonline.com", "sts.windows.net"}, u.Host):
		return []string{"email", "upn", "unique_name"}
	case is.Provider == "supabase":
		return []string{"email"}
	}
	return nil
}

// lintStore warns of issuers that need what replicas share, where they share
// nothing.
func (d *decoder) lintStore(cfg *Config, specs []rules.IssuerSpec) {
	if cfg.Store.RedisURL.IsSet() {
		return
	}
	warn := func(path, message string) {
		d.at(d.nearest(path), Diagnostic{Path: path, ID: "memory-store", Warning: true, Message: message,
			Hint: "name a store that all replicas share: store: {redis: {url: {env: REDIS_URL}}}"})
	}
	for i, is := range cfg.Issuers {
		if is.MaxUses > 0 {
			warn(specs[i].Path+".max_uses", "uses are counted in memory: each replica counts for itself, and a restart forgets")
		}
		if is.BackchannelLogout {
			warn(specs[i].Path+".backchannel_logout", "logouts are kept in memory: other replicas do not learn of them, and a restart forgets")
		}
	}
}
