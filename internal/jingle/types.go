// Package jingle turns Jingle IQs (XEP-0166, 0167, 0176, 0320, 0338, 0339 in
// the dialect of Jicofo) into structs and back. It does no I/O and keeps no state.
//
// Unknown elements are ignored; malformed ones are an error that names the
// element, not its content.
package jingle

// Source is one media stream: an SSRC and whose it is (XEP-0339, Jitsi's compact JSON).
type Source struct {
	SSRC  uint32
	Owner string // endpoint id: the resourcepart in the room; "jvb" for the bridge itself
	Name  string // source name such as a1b2c3d4-a0; may be empty with old clients
	MSID  string // "stream track"
	Video bool
}

// Candidate is one ICE candidate (XEP-0176).
type Candidate struct {
	ID         string
	Foundation string
	Component  int
	Protocol   string // "udp" or "tcp"
	Priority   uint32
	IP         string // literal
	Port       int
	Type       string // host, srflx, prflx, relay
	RelAddr    string
	RelPort    int
	Generation int
	Network    int
	TCPType    string
}

// Fingerprint is the hash of a DTLS certificate (XEP-0320).
type Fingerprint struct {
	Hash  string // "sha-256"
	Value string // hex pairs with colons, upper case
	Setup string // actpass, active, passive
}

// Transport is one ICE-UDP transport with what DTLS needs.
type Transport struct {
	Ufrag, Pwd    string
	Candidates    []Candidate
	Fingerprints  []Fingerprint
	WebSockets    []string // colibri web-socket URLs, in order
	RTCPMux       bool
	ICEGeneration int // > 0: an in-place ICE restart (conference spec 3.5)
}

// Payload is one payload type of a description.
type Payload struct {
	ID        uint8
	Name      string // lower case: opus, telephone-event, red
	Clockrate int    // Hz
	Channels  int
	Params    map[string]string
}
