package phone

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// socket is a UDP port for SIP and the calls on it, by Call-ID.
type socket struct {
	conn   *net.UDPConn
	invite func(m message, from netip.AddrPort) // an INVITE of no call we know; nil: nobody may call

	mu    sync.Mutex
	calls map[string]*Phone
	wg    sync.WaitGroup
}

// arrival is a message and where it came from.
type arrival struct {
	message
	from netip.AddrPort
}

func open(at netip.AddrPort, invite func(message, netip.AddrPort)) (*socket, error) {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	return &socket{conn: c, invite: invite, calls: map[string]*Phone{}}, nil
}

func (s *socket) addr() netip.AddrPort { return s.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

func (s *socket) send(b []byte, to netip.AddrPort) {
	_, _ = s.conn.WriteToUDPAddrPort(b, to) // what is lost is sent again
}

func (s *socket) put(callID string, p *Phone) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[callID] = p
}

func (s *socket) drop(callID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.calls, callID)
}

func (s *socket) list() []*Phone {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*Phone
	for _, p := range s.calls {
		out = append(out, p)
	}
	return out
}

func (s *socket) start() { s.wg.Go(s.read) }

func (s *socket) close() {
	_ = s.conn.Close()
	s.wg.Wait()
}

func (s *socket) read() {
	buf := make([]byte, 65536)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an unconnected socket has no lasting errors
		}
		m, ok := read(string(buf[:n]))
		if !ok {
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		s.mu.Lock()
		p := s.calls[m.get("Call-ID")]
		s.mu.Unlock()
		switch {
		case p != nil:
			select {
			case p.in <- arrival{m, from}:
			default: // as if the network had lost it
			}
		case m.method == "INVITE" && s.invite != nil && tagOf(m.get("To")) == "":
			s.invite(m, from)
		case m.method == "OPTIONS":
			s.send(m.answer(200, random()).bytes(), from)
		case m.method != "" && m.method != "ACK":
			s.send(m.answer(481, random()).bytes(), from)
		}
	}
}

// localFor is the address of this machine that leads to another.
func localFor(to netip.AddrPort) (netip.Addr, error) {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return netip.Addr{}, err
	}
	defer func() { _ = c.Close() }()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}

// pair opens an even port for RTP and the next one, so that nobody else's port gets our RTCP.
func pair(ip netip.Addr) (rtp, rtcp *net.UDPConn, err error) {
	for range 50 {
		if rtp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0))); err != nil {
			return nil, nil, err
		}
		port := rtp.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		if port%2 == 0 {
			if rtcp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, port+1))); err == nil {
				return rtp, rtcp, nil
			}
		}
		_ = rtp.Close()
	}
	return nil, nil, fmt.Errorf("no pair of ports for RTP at %s: %w", ip, err)
}
