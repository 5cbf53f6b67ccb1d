package portal

// Routes lists what the portal answers to, as "METHOD /path/:param", for tests that must forget none.
func Routes() []string {
	var out []string
	for _, r := range newRouter(&Portal{}).e.Routes() {
		out = append(out, r.Method+" "+r.Path)
	}
	return out
}
