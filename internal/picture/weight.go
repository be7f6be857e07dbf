// SPDX-License-Identifier: GPL-3.0-or-later

package picture

import (
	"image"
	"image/color"
)

// pixelBytes is what a pixel of the decoded picture takes, or more.
func pixelBytes(model color.Model) int64 {
	switch model {
	case color.NRGBA64Model, color.RGBA64Model:
		return 8
	case color.GrayModel:
		return 1
	case color.Gray16Model:
		return 2
	}
	return 4
}

// weighJPEG counts the planes, what they may be converted to, and, for a progressive one, the coefficients that are
// kept until its end.
func weighJPEG(config image.Config, data []byte) int64 {
	planes, converted := int64(3), int64(4)
	switch config.ColorModel {
	case color.GrayModel:
		planes, converted = 1, 0
	case color.CMYKModel:
		planes = 4
	}
	if progressive(data) {
		return planes*5 + converted
	}
	return planes + converted
}

// progressive is whether a JPEG is one, or of a kind unknown.
func progressive(data []byte) bool {
	for i := 2; i+4 <= len(data); {
		if data[i] != 0xff {
			i++ // rubbish that decoders skip
			continue
		}
		switch marker := data[i+1]; {
		case marker == 0xff || marker == 0 || marker == 1 || (marker >= 0xd0 && marker <= 0xd8):
			i++
			continue
		case marker == 0xc0 || marker == 0xc1:
			return false
		case marker == 0xc2:
			return true
		}
		i += 2 + int(data[i+2])<<8 + int(data[i+3])
	}
	return true
}

// weighPNG counts an interlaced one twice: its passes are put together from pictures of their own.
func weighPNG(config image.Config, data []byte) int64 {
	const interlace = 28 // where its header says so
	weight := pixelBytes(config.ColorModel)
	if len(data) > interlace && data[interlace] != 0 {
		weight *= 2
	}
	return weight
}

// weighTIFF counts the picture and the block that is being read, which may be all of it.
func weighTIFF(config image.Config, _ []byte) int64 { return 2 * pixelBytes(config.ColorModel) }

// weighWebP counts a picture and its transparency, or the pixels before and after a transform.
func weighWebP(image.Config, []byte) int64 { return 8 }
