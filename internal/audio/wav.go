package audio

import (
	"encoding/binary"
	"errors"
	"io"
)

// WriteWAV writes pcm as a WAV file: 16-bit mono PCM at rate Hz.
func WriteWAV(w io.Writer, pcm []int16, rate int) error {
	size := uint32(2 * len(pcm))
	head := binary.LittleEndian.AppendUint32([]byte("RIFF"), 36+size)
	head = append(head, "WAVEfmt "...)
	head = binary.LittleEndian.AppendUint32(head, 16)
	head = binary.LittleEndian.AppendUint16(head, 1)
	head = binary.LittleEndian.AppendUint16(head, 1)
	head = binary.LittleEndian.AppendUint32(head, uint32(rate))
	head = binary.LittleEndian.AppendUint32(head, uint32(2*rate))
	head = binary.LittleEndian.AppendUint16(head, 2)
	head = binary.LittleEndian.AppendUint16(head, 16)
	head = append(head, "data"...)
	head = binary.LittleEndian.AppendUint32(head, size)
	if _, err := w.Write(head); err != nil {
		return err
	}
	return binary.Write(w, binary.LittleEndian, pcm)
}

var errWAV = errors.New("not a WAV file of 16-bit mono PCM")

// maxWAV bounds what ReadWAV takes into memory: two hours at 48 kHz.
const maxWAV = 2 * 48000 * 7200

// ReadWAV reads a WAV file of 16-bit mono PCM and gives its samples and rate in Hz.
func ReadWAV(r io.Reader) (pcm []int16, rate int, err error) {
	b, err := io.ReadAll(io.LimitReader(r, maxWAV))
	if err != nil {
		return nil, 0, err
	}
	if len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE" {
		return nil, 0, errWAV
	}
	for b = b[12:]; len(b) >= 8; {
		id, size := string(b[:4]), int(binary.LittleEndian.Uint32(b[4:]))
		b = b[8:]
		body := b[:min(size, len(b))]
		switch {
		case id == "fmt " && len(body) >= 16:
			mono16 := binary.LittleEndian.Uint16(body) == 1 && binary.LittleEndian.Uint16(body[2:]) == 1 &&
				binary.LittleEndian.Uint16(body[14:]) == 16
			if !mono16 {
				return nil, 0, errWAV
			}
			rate = int(binary.LittleEndian.Uint32(body[4:]))
		case id == "data" && rate > 0:
			pcm = make([]int16, len(body)/2)
			for i := range pcm {
				pcm[i] = int16(binary.LittleEndian.Uint16(body[2*i:]))
			}
			return pcm, rate, nil
		}
		b = b[min(len(b), size+size%2):]
	}
	return nil, 0, errWAV
}
