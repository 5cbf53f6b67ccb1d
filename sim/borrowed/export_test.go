package borrowed

// Seen tells whether a release of this simulator was seen in a namespace.
func (c *Cluster) Seen(namespace string) bool {
	c.keeper.mu.Lock()
	defer c.keeper.mu.Unlock()
	return c.keeper.seen[namespace]
}
