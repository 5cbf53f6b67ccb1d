package profile

import (
	"cmp"
	"container/heap"
	"slices"
)

// counters is how many values a top keeps. A value with a share above 1/counters is never missed.
const counters = 512

// top counts the most frequent of many values in bounded memory: the space-saving algorithm (Metwally, Agrawal, El
// Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data Streams", 2005). Up to [counters] distinct values
// it is exact. The same sequence gives the same counts.
type top struct {
	by    map[string]*counter
	least leastFirst // a heap once full
	full  bool       // a value had to give way: counts are upper bounds
	size  int64      // bytes held, estimated
}

type counter struct {
	Count
	seq   int // orders equals
	index int // in the heap
}

// counterBytes is what a counter takes beside its value: itself, its places in the map and in the heap.
const counterBytes = 160

func newTop() top { return top{by: map[string]*counter{}} }

// add counts v once.
func (t *top) add(v string) {
	if c, ok := t.by[v]; ok {
		c.Count.Count++
		if t.full {
			heap.Fix(&t.least, c.index)
		}
		return
	}
	v = cloned(v)
	if len(t.least) < counters {
		c := &counter{Count: Count{Value: v, Count: 1}, seq: len(t.least), index: len(t.least)}
		t.by[v] = c
		t.least = append(t.least, c)
		t.size += counterBytes + int64(len(v))
		return
	}
	if !t.full {
		t.full = true
		heap.Init(&t.least)
	}
	c := t.least[0]
	delete(t.by, c.Value)
	t.size += int64(len(v) - len(c.Value))
	c.Value, c.Error = v, c.Count.Count
	c.Count.Count++
	t.by[v] = c
	heap.Fix(&t.least, 0)
}

// best gives the n most frequent values, equals by value.
func (t *top) best(n int) []Count {
	out := make([]Count, len(t.least))
	for i, c := range t.least {
		out[i] = c.Count
	}
	slices.SortFunc(out, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Error, b.Error), cmp.Compare(a.Value, b.Value))
	})
	return out[:min(n, len(out))]
}

// leastFirst is a heap of counters, the least frequent first.
type leastFirst []*counter

func (h leastFirst) Len() int { return len(h) }
func (h leastFirst) Less(i, j int) bool {
	if a, b := h[i].Count.Count, h[j].Count.Count; a != b {
		return a < b
	}
	return h[i].seq < h[j].seq
}

func (h leastFirst) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push completes heap.Interface; nothing is ever pushed.
func (h *leastFirst) Push(x any) { *h = append(*h, x.(*counter)) }

// Pop completes heap.Interface; nothing is ever popped.
func (h *leastFirst) Pop() any {
	old := *h
	c := old[len(old)-1]
	*h = old[:len(old)-1]
	return c
}
