#ifndef SHOAL_CZLIB_SHIM_H
#define SHOAL_CZLIB_SHIM_H

#include <zlib.h>

#endif
