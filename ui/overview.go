package ui

import "time"

// OverviewPage is an environment's Overview tab.
type OverviewPage struct {
	Frame
	Offering, Owner string
	Managed         int       // replicas of Ataccama-managed DPEs
	Expires         time.Time // of the licence
	DPEs            []DPE
	Events          []Event // what happened last, newest first
	Next            NextStep
}

// NextStep is what a person may want to do next.
type NextStep struct {
	Text       string
	Link, Path string // words and path of a link; empty: none
	Command    string // that does it in a terminal; empty: none
}

// Overview renders an environment's Overview tab.
func Overview(p OverviewPage) ([]byte, error) { return render("overview", "layout", p) }

// DPMPage is the DPM Admin Console.
type DPMPage struct {
	Frame
	Address string
	DPEs    []DPE
	EngineList
	Jobs            []Job // the newest
	JobsUnavailable string
	More            bool // there are more jobs
}

// DPM renders the DPM Admin Console.
func DPM(p DPMPage) ([]byte, error) { return render("dpm", "layout", p) }

// StoragePage is the console of an environment's object storage.
type StoragePage struct {
	Frame
	Address     string
	Buckets     []Bucket
	Unavailable string // why Buckets is not known; empty: it is
}

// Bucket is a bucket in the list.
type Bucket struct {
	Name, Path string
	Created    time.Time
}

// Storage renders the storage console.
func Storage(p StoragePage) ([]byte, error) { return render("storage", "layout", p) }

// BucketPage is a page of a bucket's objects.
type BucketPage struct {
	Frame
	Name        string
	Objects     []StoredObject
	Unavailable string // why Objects is not known; empty: it is
	More        string // path of the next page; empty: there is none
	First       string // path of the first page; empty: this is it
}

// StoredObject is an object in the list. Path is of its download.
type StoredObject struct {
	Key, Path, Size, Type string
	Modified              time.Time
}

// BucketOf renders a page of a bucket's objects.
func BucketOf(p BucketPage) ([]byte, error) { return render("bucket", "layout", p) }
