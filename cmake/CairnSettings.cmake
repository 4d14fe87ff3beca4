# How all targets of cairn are compiled: language, warnings, sanitizers, compiler cache. The settings apply to
# the folders of cairn only. A parent project chooses warnings and compiler cache, for cairn as well.
include(GNUInstallDirs)

option(CAIRN_WARNINGS_AS_ERRORS "Treat compiler warnings as errors" OFF)
option(CAIRN_BENCHMARKS "Build benchmarks/" ${PROJECT_IS_TOP_LEVEL})
set(CAIRN_SANITIZE "" CACHE STRING "Sanitizers for every target, for example address,undefined or thread")

# The libraries ask for C++20 themselves; this is for the programs that do not link them.
if(NOT CMAKE_CXX_STANDARD)
  set(CMAKE_CXX_STANDARD 20)
endif()
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)

if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  find_program(CAIRN_CCACHE ccache)
endif()
if(PROJECT_IS_TOP_LEVEL AND CAIRN_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Precompiled headers and ccache agree only when ccache is told to look past the header's time stamps.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CAIRN_CCACHE})
endif()

# g++ 12 takes the operator new of Asio's coroutine frames for another one than their operator delete.
add_compile_options(-Wno-mismatched-new-delete)
if(PROJECT_IS_TOP_LEVEL)
  add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -fpch-preprocess)
endif()
if(CAIRN_WARNINGS_AS_ERRORS)
  add_compile_options(-Werror)
endif()
if(CAIRN_SANITIZE)
  add_compile_options(-fsanitize=${CAIRN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -Wno-maybe-uninitialized)
  add_link_options(-fsanitize=${CAIRN_SANITIZE})
  if(CAIRN_SANITIZE MATCHES thread AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # Asio's headers use std::atomic_thread_fence, which the sanitizer does not follow. Their mutexes order
    # the same work.
    add_compile_options(-Wno-tsan)
  endif()
endif()

# cairn_library(NAME SOURCES...) makes the library cairn_NAME, which users know as cairn::NAME. It is also a
# component of the installed package. cmake/cairnConfig.cmake lists the packages that each component needs.
function(cairn_library name)
  add_library(cairn_${name} STATIC ${ARGN})
  add_library(cairn::${name} ALIAS cairn_${name})
  set_target_properties(cairn_${name} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(cairn_${name} PUBLIC cxx_std_20)
  if(IS_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/include)
    target_include_directories(cairn_${name} PUBLIC
      $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  endif()
endfunction()

# Links an executable with tcmalloc, where there is one: actors, messages and operations are small and come and go between
# threads. Not under a sanitizer, which brings its own allocator.
find_library(CAIRN_TCMALLOC NAMES tcmalloc_minimal)
function(cairn_use_tcmalloc target)
  if(CAIRN_TCMALLOC AND NOT CAIRN_SANITIZE)
    # The linker would drop it: nothing refers to it by name.
    target_link_options(${target} PRIVATE "LINKER:--no-as-needed" ${CAIRN_TCMALLOC} "LINKER:--as-needed")
  endif()
endfunction()
