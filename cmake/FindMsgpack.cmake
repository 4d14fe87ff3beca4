# Finds msgpack-c for C++, a library of headers whose own package changes its name with its version. Gives Msgpack::cxx.
find_path(Msgpack_INCLUDE_DIR msgpack.hpp)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Msgpack REQUIRED_VARS Msgpack_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "install libmsgpack-cxx-dev, or run scripts/setup")
if(Msgpack_FOUND AND NOT TARGET Msgpack::cxx)
  add_library(Msgpack::cxx INTERFACE IMPORTED)
  set_target_properties(Msgpack::cxx PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES ${Msgpack_INCLUDE_DIR} INTERFACE_COMPILE_DEFINITIONS MSGPACK_DEFAULT_API_VERSION=3)
endif()
mark_as_advanced(Msgpack_INCLUDE_DIR)
