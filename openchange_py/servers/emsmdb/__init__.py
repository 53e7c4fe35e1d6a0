"""The local server of the mailbox interface: [MS-OXCRPC], and inside of EcDoRpcExt2 [MS-OXCROPS].

`server` answers the calls, `processor` runs a buffer of ROPs, `registry` knows which function answers which ROP. Those
stand in the files with the documents' names (`oxcstor`, `oxcfold`, `oxcmsg`, `oxctabl`, `oxcprpt`), and what a handle
stands for in `objects`. What is answered and what is not: `docs/compliance.md`.
"""
