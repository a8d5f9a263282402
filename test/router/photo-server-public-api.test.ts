import { describePhotoServer } from './photo-server-suite.ts'

describePhotoServer(true)
