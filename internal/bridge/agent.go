package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"jigasi/internal/cause"
	"jigasi/internal/jingle"

	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/stun/v4"
)

func (c *Conn) agentOptions() ([]ice.AgentOption, error) {
	o := c.opt
	types := []ice.CandidateType{ice.CandidateTypeHost}
	var urls []*stun.URI
	relay, reflect := false, o.PublicIP.IsValid()
	for _, r := range o.Relays {
		u, err := stun.ParseURI(r.URL)
		if err != nil {
			return nil, fmt.Errorf("bridge: TURN address %q: %w", r.URL, err)
		}
		u.Username, u.Password = r.User, r.Password
		urls = append(urls, u)
		turn := u.Scheme == stun.SchemeTypeTURN || u.Scheme == stun.SchemeTypeTURNS
		relay, reflect = relay || turn, reflect || !turn
	}
	if relay {
		types = append(types, ice.CandidateTypeRelay)
	}
	if reflect {
		types = append(types, ice.CandidateTypeServerReflexive)
	}
	opts := []ice.AgentOption{
		ice.WithNet(c.tap), ice.WithCandidateTypes(types), ice.WithUrls(urls), ice.WithProxyDialer(newRelayDialer(o.RelayTLS, urls)),
		ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4, ice.NetworkTypeUDP6}),
		ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled), ice.WithRelayAcceptanceMinWait(500 * time.Millisecond),
		ice.WithDisconnectedTimeout(o.disconnected()), ice.WithFailedTimeout(max(o.CheckLimit, o.ConsentLimit) - o.disconnected()),
		ice.WithKeepaliveInterval(min(2*time.Second, o.disconnected()/2)),
		ice.WithHostAcceptanceMinWait(0), ice.WithPrflxAcceptanceMinWait(0), ice.WithSrflxAcceptanceMinWait(0),
		ice.WithCheckInterval(checkEvery), ice.WithMaxBindingRequests(uint16(min(o.CheckLimit/checkEvery, math.MaxUint16))), ice.WithLoggerFactory(libraryLog{c.log}),
	}
	if o.PortMin != 0 || o.PortMax != 0 {
		opts = append(opts, ice.WithPortRange(o.PortMin, o.PortMax))
	}
	if o.Loopback {
		opts = append(opts, ice.WithIncludeLoopback())
	}
	if o.PublicIP.IsValid() {
		opts = append(opts, ice.WithAddressRewriteRules(ice.AddressRewriteRule{
			External: []string{o.PublicIP.String()}, AsCandidateType: ice.CandidateTypeServerReflexive,
		}))
	}
	return opts, nil
}

// gather fills in our candidates and credentials.
func (c *Conn) gather(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, gatherLimit)
	defer cancel()
	complete := make(chan struct{})
	var mu sync.Mutex
	var found []ice.Candidate
	if err := c.agent.OnCandidate(func(cand ice.Candidate) {
		if cand == nil {
			close(complete)
			return
		}
		mu.Lock()
		found = append(found, cand)
		mu.Unlock()
	}); err != nil {
		return fmt.Errorf("bridge: ICE: %w", err)
	}
	if err := c.agent.GatherCandidates(); err != nil {
		return fmt.Errorf("bridge: ICE: %w", err)
	}
	select {
	case <-complete:
	case <-ctx.Done(): // what there is has to do
	}
	var err error
	if c.local.Ufrag, c.local.Pwd, err = c.agent.GetLocalUserCredentials(); err != nil {
		return fmt.Errorf("bridge: ICE: %w", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(found) == 0 {
		return cause.Cause{Code: cause.MediaFailed, Text: "no local UDP address for media towards the bridge: check the port range and network interfaces"}
	}
	for i, cand := range found {
		c.local.Candidates = append(c.local.Candidates, toJingle(i, cand))
	}
	return nil
}

func toJingle(i int, c ice.Candidate) jingle.Candidate {
	j := jingle.Candidate{
		ID: "jg" + strconv.Itoa(i), Foundation: c.Foundation(), Component: int(c.Component()), Protocol: "udp",
		Priority: c.Priority(), IP: c.Address(), Port: c.Port(), Type: c.Type().String(),
	}
	if rel := c.RelatedAddress(); rel != nil {
		j.RelAddr, j.RelPort = rel.Address, rel.Port
	}
	return j
}

// fromJingle takes UDP candidates of the first component with a literal address.
func fromJingle(j jingle.Candidate) (ice.Candidate, error) {
	ip, err := netip.ParseAddr(j.IP)
	if err != nil || j.Port < 1 || j.Port > 65535 || !strings.EqualFold(j.Protocol, "udp") || j.Component > 1 || j.Generation != 0 {
		return nil, fmt.Errorf("bridge: candidate %.40q is not usable", j.IP)
	}
	address := ip.Unmap().String()
	switch j.Type {
	case "srflx":
		return ice.NewCandidateServerReflexive(&ice.CandidateServerReflexiveConfig{
			Network: "udp", Address: address, Port: j.Port, Component: 1, Priority: j.Priority, Foundation: j.Foundation, RelAddr: j.RelAddr, RelPort: j.RelPort,
		})
	case "relay":
		return ice.NewCandidateRelay(&ice.CandidateRelayConfig{
			Network: "udp", Address: address, Port: j.Port, Component: 1, Priority: j.Priority, Foundation: j.Foundation, RelAddr: j.RelAddr, RelPort: j.RelPort,
		})
	}
	return ice.NewCandidateHost(&ice.CandidateHostConfig{
		Network: "udp", Address: address, Port: j.Port, Component: 1, Priority: j.Priority, Foundation: j.Foundation,
	})
}

// libraryLog brings warnings of the ICE and DTLS libraries to our log, as debug lines: what
// matters of them this package says itself. Their finer levels may hold credentials and are dropped.
type libraryLog struct{ log *slog.Logger }

func (l libraryLog) NewLogger(scope string) logging.LeveledLogger {
	return leveled{l.log, scope}
}

type leveled struct {
	log   *slog.Logger
	scope string
}

func (l leveled) say(msg string)            { l.log.Debug("media library", "scope", l.scope, "text", msg) }
func (leveled) Trace(string)                {}
func (leveled) Tracef(string, ...any)       {}
func (leveled) Debug(string)                {}
func (leveled) Debugf(string, ...any)       {}
func (leveled) Info(string)                 {}
func (leveled) Infof(string, ...any)        {}
func (l leveled) Warn(msg string)           { l.say(msg) }
func (l leveled) Error(msg string)          { l.say(msg) }
func (l leveled) Warnf(f string, a ...any)  { l.sayf(f, a) }
func (l leveled) Errorf(f string, a ...any) { l.sayf(f, a) }

func (l leveled) sayf(format string, args []any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.say(fmt.Sprintf(format, args...))
	}
}
