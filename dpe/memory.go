package dpe

import "sync"

// baseMemory is the working set of an engine without work: a Java process with its connectors, of which we know the
// limits only (2000Mi in tier S; assumption). Ours is much smaller.
const baseMemory = 512 << 20 // bytes

// memory adds up the engine's working set and reports it: the base and what jobs hold. It is safe for concurrent use.
type memory struct {
	report func(bytes int64) // nil: nobody wants to know

	mu   sync.Mutex
	jobs int64 // bytes
}

// start reports the base.
func (m *memory) start() { m.add(0) }

// add enters what a job holds more, or less, than it did before.
func (m *memory) add(bytes int64) {
	if m.report == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.jobs += bytes
	m.report(baseMemory + m.jobs)
}

// job gives the account of one job: hold says what the job holds now, in bytes. The job calls hold(0) at its end.
func (m *memory) job() (hold func(bytes int64)) {
	var held int64
	return func(bytes int64) {
		m.add(bytes - held)
		held = bytes
	}
}
