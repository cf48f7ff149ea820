package config

// NeedsRestart returns a diagnostic for each thing in which c differs from the
// configuration that is being served and which a running service cannot change:
// its listeners, whether there is TLS, and the store.
func (c *Config) NeedsRestart(served *Config) Diagnostics {
	a, b := c.Store, served.Store
	changed := map[string]bool{
		"server.listen":       c.Server.Listen != served.Server.Listen,
		"server.admin_listen": c.Server.AdminListen != served.Server.AdminListen,
		"server.tls":          (c.Server.TLS == nil) != (served.Server.TLS == nil),
		"store":               a.OnFailure != b.OnFailure || a.RedisURL.IsSet() != b.RedisURL.IsSet() || a.RedisURL.Reveal() != b.RedisURL.Reveal(),
	}
	var found Diagnostics
	for _, d := range c.fixed {
		if changed[d.Path] {
			found = append(found, d)
		}
	}
	return found
}

// fixedPlaces returns what NeedsRestart says where something changes. What is
// not in the file has the place of what it would be in.
func (d *decoder) fixedPlaces() Diagnostics {
	d.found = nil
	for _, path := range []string{"server.listen", "server.admin_listen", "server.tls", "store"} {
		d.at(d.nearest(path), Diagnostic{Path: path, ID: "needs-restart",
			Message: "this cannot change while the service runs", Hint: "restart the service, or put back what was there"})
	}
	d.hideSecrets()
	places, _ := d.found.split()
	return places
}
