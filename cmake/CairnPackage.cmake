# `cpack -G DEB` in the build folder makes two Debian packages of a finished build: libcairn-dev with the
# libraries, and cairn-tools with the command `cairn`.
#
# For a package to publish, configure with -DCMAKE_BUILD_TYPE=Release, which leaves out debug information, and
# with -DCMAKE_INSTALL_PREFIX=/usr, which puts the libraries into the folder of their architecture.

set(CPACK_PACKAGE_NAME cairn)
set(CPACK_PACKAGE_CONTACT "The maintainers of cairn <maintainers@cairn.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_STRIP_FILES ON)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL development)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libcairn-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
    "libcaf-dev (>= 0.17.6)" "libboost-dev (>= 1.74)" libmsgpack-cxx-dev
    "librocksdb-dev (>= 7.8)" libssl-dev libxxhash-dev)
list(JOIN CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS ", " CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS "cairn-tools, doctest-dev, librapidcheck-dev")
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION
"This package has the static libraries, the headers, and the files for CMake and pkg-config: the runtime,
the embedded store, the maintenance of stores, and the testkit.")
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/libcairn-dev
        RENAME copyright COMPONENT development)

if(TARGET cairn_command)
  list(APPEND CPACK_COMPONENTS_ALL tools)
  set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME cairn-tools)
  set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION admin)
  set(CPACK_DEBIAN_TOOLS_PACKAGE_SHLIBDEPS ON)
  set(CPACK_DEBIAN_TOOLS_DESCRIPTION
"This package has the command cairn, which verifies, exports, imports, backs up and restores a store.")
  install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/cairn-tools
          RENAME copyright COMPONENT tools)
endif()
include(CPack)
